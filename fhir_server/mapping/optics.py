"""Lenses: read a value out of a resource, and put one back without harming anything else.

An `Optic` works on a *slot*, the JSON at its place (a resource, an element, a primitive) or
MISSING where there is none:

- `view(slot)`  the v1 value, or MISSING: nothing there, or nothing v1 has a word for
- `raw(slot)`   the FHIR value, or MISSING
- `merge(slot, raw)`  the slot with that FHIR value; dicts and lists are changed in place
- `clear(slot)` the slot without it, or MISSING where nothing is left

Optics are built from the end of a path to its beginning. Lists are where the work is: an entry is
the field's *own* when the field can read it. Own entries are replaced, reordered and removed as
the value says, each keeping the elements v1 does not know; all others stay where they are. That
gives the lens laws: what was written is read, writing what was read changes nothing, and unknown
elements survive. A reference is one value: pointing it elsewhere drops the old display.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.codec import MISSING, Codec
from fhir_server.mapping.path import Step

# Elements that are what they point at: with another target, nothing else in them holds.
POINTERS = ("Reference", "Attachment")

Read = Callable[[Any], Any]
Merge = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Optic:
    view: Read
    raw: Read
    merge: Merge
    clear: Read


def leaf(codec: Codec) -> Optic:
    """The primitive itself."""
    return Optic(codec.decode, lambda slot: slot, lambda _, raw: raw, lambda _: MISSING)


def group(members: Mapping[str, Optic]) -> Optic:
    """An object of several values that lie in one element."""
    readers = [(name, member.view) for name, member in members.items()]
    raws = [(name, member.raw) for name, member in members.items()]

    def view(slot: Any) -> Any:
        return _present(readers, slot)

    def raw(slot: Any) -> Any:
        return _present(raws, slot)

    def merge(slot: Any, values: Mapping[str, Any]) -> Any:
        for name, value in values.items():
            slot = members[name].merge(slot, value)
        return slot

    def clear(slot: Any) -> Any:
        for member in members.values():
            slot = member.clear(slot) if slot is not MISSING else slot
        return slot

    return Optic(view, raw, merge, clear)


def _present(readers: list[tuple[str, Read]], slot: Any) -> Any:
    found = {}
    for name, read in readers:
        value = read(slot)
        if value is not MISSING:
            found[name] = value
    return found or MISSING


def prop(step: Step, inner: Optic) -> Optic:
    """A property that does not repeat."""
    name, inner = step.json, _pointer(step, inner)
    inner_view, inner_raw, inner_merge, inner_clear = _parts(inner)

    def view(node: Any) -> Any:
        child = node.get(name, MISSING)
        return child if child is MISSING else inner_view(child)

    def raw(node: Any) -> Any:
        child = node.get(name, MISSING)
        return child if child is MISSING else inner_raw(child)

    def merge(node: Any, value: Any) -> Any:
        if node is MISSING:
            return {name: inner_merge(MISSING, value)}
        node[name] = inner_merge(node.get(name, MISSING), value)
        return node

    def clear(node: Any) -> Any:
        child = node.get(name, MISSING)
        if child is not MISSING:
            _set(node, name, inner_clear(child))
        return node or MISSING

    return Optic(view, raw, merge, clear)


def pick(step: Step, inner: Optic, *, shared: bool) -> Optic:
    """One entry of a list: the first that can be read.

    With none, a `shared` value joins the first entry that lacks it (`name.family` beside
    `name.given`), any other makes an entry of its own.
    """
    name, fits, start = step.json, _fits(step), _start(step)
    inner = _pointer(step, inner)
    inner_view, inner_raw, inner_merge, inner_clear = _parts(inner)

    def own(entry: Any) -> bool:
        return fits(entry) and inner_view(entry) is not MISSING

    def lacks(entry: Any) -> bool:
        return fits(entry) and inner_raw(entry) is MISSING

    def view(node: Any) -> Any:
        for entry in node.get(name, ()):
            if fits(entry):
                value = inner_view(entry)
                if value is not MISSING:
                    return value
        return MISSING

    def raw(node: Any) -> Any:
        return next((inner_raw(e) for e in node.get(name, ()) if own(e)), MISSING)

    def merge(node: Any, value: Any) -> Any:
        node = {} if node is MISSING else node
        entries = node.setdefault(name, [])
        at = _first(entries, own)
        if at is None and shared:
            at = _first(entries, lacks)
        if at is None:
            entries.append(inner_merge(start(), value))
        else:
            entries[at] = inner_merge(entries[at], value)
        return node

    def clear(node: Any) -> Any:
        entries = node.get(name, [])
        at = _first(entries, own)
        if at is not None:
            left = inner_clear(entries[at])
            entries[at : at + 1] = [] if _bare(left, step) else [left]
            _set(node, name, entries or MISSING)
        return node or MISSING

    return Optic(view, raw, merge, clear)


def each(step: Step, inner: Optic, key: str | None = None) -> Optic:
    """All entries of a list that can be read: a list on both sides.

    A written value keeps the entry with the same value, or the same `key` in a group.
    """
    name, fits, start = step.json, _fits(step), _start(step)
    inner_view, inner_raw, inner_merge, _ = _parts(_pointer(step, inner))

    def own(entry: Any) -> bool:
        return fits(entry) and inner_view(entry) is not MISSING

    def name_of(value: Any) -> Any:
        return value.get(key) if key else value

    def view(node: Any) -> Any:
        found = []
        for entry in node.get(name, ()):
            if fits(entry):
                value = inner_view(entry)
                if value is not MISSING:
                    found.append(value)
        return found or MISSING

    def raw(node: Any) -> Any:
        return [inner_raw(e) for e in node.get(name, ()) if own(e)] or MISSING

    def written(value: Any, old: list[Any]) -> Any:
        wanted = name_of(value)
        at = _first(old, lambda entry: name_of(inner_raw(entry)) == wanted)
        return inner_merge(start() if at is None else old.pop(at), value)

    def merge(node: Any, values: list[Any]) -> Any:
        node = {} if node is MISSING else node
        entries = node.get(name, [])
        old = [entry for entry in entries if own(entry)]
        new = iter([written(value, old) for value in values])
        kept = (next(new, MISSING) if own(entry) else entry for entry in list(entries))
        merged = [entry for entry in kept if entry is not MISSING]
        _set(node, name, [*merged, *new] or MISSING)
        return node

    def clear(node: Any) -> Any:
        return merge(node, []) or MISSING

    return Optic(view, raw, merge, clear)


def _pointer(step: Step, inner: Optic) -> Optic:
    if step.type not in POINTERS:
        return inner
    inner_merge, inner_raw = inner.merge, inner.raw

    def merge(slot: Any, value: Any) -> Any:
        same = slot is MISSING or inner_raw(slot) == value
        return inner_merge(slot if same else MISSING, value)

    return Optic(inner.view, inner_raw, merge, lambda _: MISSING)


def _parts(optic: Optic) -> tuple[Read, Read, Merge, Read]:
    return optic.view, optic.raw, optic.merge, optic.clear


def _fits(step: Step) -> Callable[[Any], bool]:
    if step.match is None:
        return lambda _: True
    key, wanted = step.match
    return lambda entry: entry.get(key) == wanted


def _start(step: Step) -> Callable[[], Any]:
    """What a new entry begins with."""
    if step.match is None:
        return lambda: MISSING
    key, wanted = step.match
    return lambda: {key: wanted}


def _bare(entry: Any, step: Step) -> bool:
    return entry is MISSING or (step.match is not None and entry == dict([step.match]))


def _first(entries: list[Any], test: Callable[[Any], bool]) -> int | None:
    return next((at for at, entry in enumerate(entries) if test(entry)), None)


def _set(node: dict[str, Any], name: str, value: Any) -> None:
    if value is MISSING:
        node.pop(name, None)
    else:
        node[name] = value
