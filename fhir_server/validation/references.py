"""References: to the right type, to a contained resource that is there, and back.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.fhir.reference import parse
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run

_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?[\w.:-]+=[^&=?]*(?:&[\w.:-]+=[^&=?]*)*", re.ASCII)
Item = Callable[[Any, Place, Run], None]
# Each reference to a contained resource is looked for among all of them.
MOST_CONTAINED = 256


def reference(targets: frozenset[str]) -> Item:
    """The check of a Reference whose target must be one of `targets` (empty: anything)."""

    def check(value: Json, at: Place, run: Run) -> None:
        text = value.get("reference")
        if "type" in value:
            _check_stated(value["type"], text, at, run)
        if not isinstance(text, str):
            _check_type(value.get("type"), targets, at, run)
            return
        if text.startswith("#"):
            _check_fragment(text, targets, at, run)
        elif text.partition("/")[0] not in targets:
            _check_type(parse(text).type, targets, at, run)
            if "?" in text and "://" not in text and not _CONDITIONAL.fullmatch(text):
                run.error("invalid", "is neither a reference nor a conditional one", at)
        if run.within is not None:
            _check_within(text, at, run)

    return check


def _check_stated(stated: Any, text: Any, at: Place, run: Run) -> None:
    """What the reference says of its type agrees with its text."""
    found = parse(text).type if isinstance(text, str) else None
    known = found in run.resources.resource_types
    if known and isinstance(stated, str) and stated.rpartition("/")[2] != found:
        run.error("structure", "does not refer to the type that it states", (at, "type", None))


def _check_type(found: Any, targets: frozenset[str], at: Place, run: Run) -> None:
    if not targets or not isinstance(found, str) or found in targets:
        return
    if found in run.resources.resource_types:
        wanted = ", ".join(sorted(targets))
        run.error("structure", f"refers to {found}; allowed are {wanted}", at)


def _check_fragment(fragment: str, targets: frozenset[str], at: Place, run: Run) -> None:
    if fragment == "#":
        return
    for contained in held(run.root):
        if contained.get("id") == fragment[1:]:
            _check_type(contained.get("resourceType"), targets, at, run)
            return
    rule = "SHALL have a contained resource if a local reference is provided"
    run.error("invariant", f"Constraint failed: ref-1: '{rule}'", at)


def _check_within(text: str, at: Place, run: Run) -> None:
    target = parse(text).local
    if target and run.within is not None and target not in run.within:
        run.error("structure", "Unable to resolve the resource that it refers to", at)


def too_many(resource: Json) -> bool:
    """Whether it contains more resources than are looked through."""
    contained = resource.get("contained")
    return isinstance(contained, list) and len(contained) > MOST_CONTAINED


def held(resource: Json) -> Iterator[Json]:
    """The contained resources."""
    contained = resource.get("contained")
    for one in contained if isinstance(contained, list) else ():
        if isinstance(one, dict):
            yield one


def target_type(reference: Json, run: Run) -> str | None:
    """The type of what a Reference refers to, where it tells."""
    text, stated = reference.get("reference"), reference.get("type")
    if not isinstance(text, str):
        return stated if isinstance(stated, str) else None
    if text.startswith("#"):
        return next(
            (r.get("resourceType") for r in held(run.root) if r.get("id") == text[1:]), None
        )
    return parse(text).type


def strings(value: Any) -> Iterator[str]:
    """Every text in `value`, however deep."""
    if type(value) is str:
        yield value
    elif type(value) is dict:
        for item in value.values():
            yield from strings(item)
    elif type(value) is list:
        for item in value:
            yield from strings(item)


def check_contained(resource: Json, at: Place, run: Run) -> None:
    """dom-2 to dom-5, and that contained resources have ids of their own."""
    everywhere = {text for text in strings(resource) if text.startswith("#")}
    seen: set[str] = set()
    for index, one in enumerate(resource.get("contained", ())):
        if not isinstance(one, dict):
            continue
        place = (at, "contained", index)
        _check_one(one, place, run)
        name = one.get("id")
        if not isinstance(name, str):
            run.error("required", "A contained resource must have an id", (place, "id", None))
            continue
        if name in seen:
            run.error("structure", "Two contained resources have this id", (place, "id", None))
        seen.add(name)
        if "#" + name not in everywhere and "#" not in strings(one):
            text = (
                "The contained resource is not referenced to from elsewhere in the containing"
                " resource nor does it refer to the containing resource (dom-3)"
            )
            run.error("invariant", text, place)


def _check_one(one: Json, at: Place, run: Run) -> None:
    meta = one.get("meta")
    if "contained" in one:
        text = "dom-2: a contained resource SHALL NOT contain others"
        run.error("invariant", text, (at, "contained", None))
    for name in ("versionId", "lastUpdated", "security"):
        if isinstance(meta, dict) and name in meta:
            text = f"dom-4, dom-5: a contained resource SHALL NOT have meta.{name}"
            run.error("invariant", text, ((at, "meta", None), name, None))
