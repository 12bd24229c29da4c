"""Which elements `_elements` wants, by the type that they are of.

`name` and `name.family` are elements of what is searched or read; `Patient.name` is one of
Patient, wherever a Patient is in the answer. https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.subset import Wanted, unknown
from fhir_server.problems import Problem

Tree = dict[str, Any]


@lru_cache(maxsize=256)
def wanted(names: tuple[str, ...], type_: str, *, asked_for: bool) -> Wanted | None:
    """The elements of a type; `asked_for` where those without a type are its own too. None where
    nothing is said of it."""
    named = [_split(name) for name in names]
    own = [steps for owner, steps in named if owner == type_ or (asked_for and not owner)]
    tree: Tree = {}
    for steps in own:
        _add(tree, steps)
    return tree if own or asked_for else None


def check(names: tuple[str, ...], types: Iterable[str]) -> None:
    """Problem 400 for what is no element of its type, or of none of `types`; without types, for
    those that name one."""
    asked_for = list(types)
    for name in names:
        owner, steps = _split(name)
        tree: Tree = {}
        _add(tree, steps)
        wrong = [_unknown(one, tree) for one in ([owner] if owner else asked_for)]
        if wrong and None not in wrong:
            raise Problem(400, "value", str(wrong[0]), expression="_elements")


def _split(name: str) -> tuple[str, list[str]]:
    """`Patient.name.family` → Patient, name and family; without a type the first is ""."""
    steps = name.split(".")
    return (steps[0], steps[1:]) if steps[0][:1].isupper() else ("", steps)


def _unknown(type_: str, tree: Wanted) -> str | None:
    shapes = r4_shapes()
    try:
        shape = shapes.shape(type_)
    except KeyError:
        shape = None
    if shape is None or not shape.is_resource or "." in type_:
        return f"there is no type {type_[:64]}"
    name = unknown(tree, shape, shapes)
    return f"{type_} has no element {name[:64]}" if name is not None else None


def _add(tree: Tree, steps: list[str]) -> None:
    """Into the tree, where an element without inner ones is whole: `name` says more than
    `name.family`."""
    for at, step in enumerate(steps):
        if at == len(steps) - 1:
            tree[step] = {}
        elif step in tree and not tree[step]:
            return
        else:
            tree = tree.setdefault(step, {})
