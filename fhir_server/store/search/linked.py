"""Criteria on other resources: chains (`subject:Patient.name`) and reverse chains (`_has`).

Every resource type that a chain reaches is bound by what the caller may see of it.
https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fhir_server.definitions.model import SearchParameter
from fhir_server.problems import Problem
from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.node import Node, all_of, any_of

# A chain that goes on branches again on every type that a reference without one may lead to.
MOST_BRANCHES = 8
# Reads the rest of the name on a target type.
Tail = Callable[[str, str], Node]


def chain(asking: Asking, resource_type: str, head: str, rest: str, tail: Tail) -> Node:
    """`head[:Type].rest`: the resource refers to one that meets `rest`."""
    code, _, narrowed = head.partition(":")
    parameter = _reference(asking, resource_type, code)
    narrowed = narrowed or parameter.alias_type or ""
    if narrowed:
        asking.served(narrowed)
        targets = [narrowed]
    else:
        targets = _able(asking, parameter, rest)
    if len(targets) > MOST_BRANCHES and "." in rest:
        why = f"{code} may refer to too many types here: name one, as in {code}:{targets[0]}"
        raise Problem(400, "too-costly", why)
    asking.budget.branch(len(targets))
    nodes, refused = [], None
    for target in targets:
        try:
            nodes.append(_chained(asking, resource_type, parameter, target, tail(target, rest)))
        except NotSupported as error:
            refused = error
    if not nodes:
        raise refused or NotSupported(f"{code} cannot be chained")
    return any_of(nodes)


def _able(asking: Asking, parameter: SearchParameter, rest: str) -> list[str]:
    """The served types the reference may lead to that know the next step of the chain; all of
    them where none does, so that the refusal names one."""
    served = [target for target in parameter.targets if target in asking.types]
    step = re.split(r"[.:]", rest, maxsplit=1)[0]
    able = [
        target for target in served if step.startswith("_") or step in asking.types[target].search
    ]
    return able or served[:1]


def _chained(
    asking: Asking, resource_type: str, parameter: SearchParameter, target: str, node: Node
) -> Node:
    code = parameter.alias_of or parameter.code
    met = all_of([node, asking.policy(target)])
    return Node((_style(asking, resource_type, code, node), code, target, met.shape), met.values)


def _style(asking: Asking, resource_type: str, code: str, node: Node) -> str:
    """How the reference is followed: for each row by itself, or to a set that is found first;
    by the typed column where it holds every value, else by keys."""
    single = asking.types[resource_type].search[code].single
    held = "column" if single and _has_column(asking, resource_type, code) else "keys"
    each_row = asking.rowwise and not node.shape[0].startswith("has-")
    return f"chain-{'row' if each_row else 'set'}-{held}"


def has(asking: Asking, resource_type: str, name: str, tail: Tail) -> Node:
    """`_has:Type:reference:rest`: a resource that meets `rest` refers to this one."""
    parts = name.split(":", 3)
    if len(parts) != 4:
        raise Problem(400, "invalid", "_has is _has:Type:reference:parameter")
    _, source, code, rest = parts
    asking.served(source)
    asking.budget.branch(1)
    parameter = _reference(asking, source, code)
    if parameter.targets and resource_type not in parameter.targets:
        raise NotSupported(f"{source}:{code} does not refer to {resource_type}")
    code = parameter.alias_of or parameter.code
    met, policy = tail(source, rest), asking.policy(source)
    if not _has_column(asking, source, code):
        style = "has-row-keys" if asking.rowwise else "has-keys"
    elif asking.types[source].search[code].single:
        style = "has-column"
    else:
        style = "has-columns"
    return Node((style, source, code, met.shape, policy.shape), met.values + policy.values)


def _has_column(asking: Asking, resource_type: str, code: str) -> bool:
    """Whether the reference has a typed column, which holds the first of its values."""
    return any(found.code == code for found in asking.types[resource_type].hot)


def _reference(asking: Asking, resource_type: str, code: str) -> SearchParameter:
    parameter = asking.parameter(resource_type, code)
    if parameter.type != "reference":
        raise NotSupported(f"{resource_type}:{code} is not a reference")
    return parameter
