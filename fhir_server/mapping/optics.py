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

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.codec import MISSING, Codec
from fhir_server.mapping.path import Step

# Elements that are what they point at: with another target, nothing else in them holds.
POINTERS = ("Reference",)

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


def group(members: Mapping[str, Optic], lists: Iterable[str] = ()) -> Optic:
    """An object of several values that lie in one element; of those in `lists`, none is []."""
    empty = tuple(lists)
    readers = [(name, member.view) for name, member in members.items()]
    raws = [(name, member.raw) for name, member in members.items()]

    def view(slot: Any) -> Any:
        found = _present(readers, slot)
        if found is not MISSING:
            for name in empty:
                found.setdefault(name, [])
        return found

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
    inner_view, inner_raw = inner.view, inner.raw
    inner_merge, inner_clear = inner.merge, inner.clear

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


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries of the list that a step names, and which of them are the field's own."""

    step: Step
    inner: Optic

    def fits(self, entry: Any) -> bool:
        match = self.step.match
        return match is None or match.fits(entry)

    def own(self, entry: Any) -> bool:
        return self.fits(entry) and self.inner.view(entry) is not MISSING

    def lacks(self, entry: Any) -> bool:
        return self.fits(entry) and self.inner.raw(entry) is MISSING

    def new(self, value: Any) -> Any:
        """An entry of the value's own, with what the step's match demands."""
        match = self.step.match
        return self.inner.merge(MISSING if match is None else match.alone(), value)

    def without(self, entry: Any) -> list[Any]:
        """What is left of an entry when the value is gone."""
        left, match = self.inner.clear(entry), self.step.match
        bare = left is MISSING or (match is not None and left == match.alone())
        return [] if bare else [left]

    def read(self, node: Any) -> Iterator[Any]:
        view, fits = self.inner.view, self.fits
        for entry in node.get(self.step.json, ()):
            if fits(entry):
                value = view(entry)
                if value is not MISSING:
                    yield value

    def raws(self, node: Any) -> Iterator[Any]:
        return (self.inner.raw(e) for e in node.get(self.step.json, ()) if self.own(e))


def pick(step: Step, inner: Optic, *, shared: bool) -> Optic:
    """One entry of a list: the first that can be read.

    With none, a `shared` value joins the first entry that lacks it (`name.family` beside
    `name.given`), any other makes an entry of its own.
    """
    name, all_ = step.json, _Entries(step, _pointer(step, inner))

    def view(node: Any) -> Any:
        return next(all_.read(node), MISSING)

    def raw(node: Any) -> Any:
        return next(all_.raws(node), MISSING)

    def merge(node: Any, value: Any) -> Any:
        node = {} if node is MISSING else node
        entries = node.setdefault(name, [])
        at = _first(entries, all_.own)
        if at is None and shared:
            at = _first(entries, all_.lacks)
        if at is None:
            entries.append(all_.new(value))
        else:
            entries[at] = all_.inner.merge(entries[at], value)
        return node

    def clear(node: Any) -> Any:
        entries = node.get(name, [])
        at = _first(entries, all_.own)
        if at is not None:
            entries[at : at + 1] = all_.without(entries[at])
            _set(node, name, entries or MISSING)
        return node or MISSING

    return Optic(view, raw, merge, clear)


def each(step: Step, inner: Optic, key: str | None = None) -> Optic:
    """All entries of a list that can be read: a list on both sides.

    A written value keeps the entry with the same value, or the same `key` in a group.
    """
    name, all_ = step.json, _Entries(step, _pointer(step, inner))

    def view(node: Any) -> Any:
        return list(all_.read(node)) or MISSING

    def raw(node: Any) -> Any:
        return list(all_.raws(node)) or MISSING

    def name_of(value: Any) -> Any:
        return value.get(key) if key else value

    def written(value: Any, old: list[Any]) -> Any:
        wanted = name_of(value)
        at = _first(old, lambda entry: name_of(all_.inner.raw(entry)) == wanted)
        return all_.new(value) if at is None else all_.inner.merge(old.pop(at), value)

    def merge(node: Any, values: list[Any]) -> Any:
        node = {} if node is MISSING else node
        entries = node.get(name, [])
        old = [entry for entry in entries if all_.own(entry)]
        slots = [all_.own(entry) for entry in entries]
        new = iter([written(value, old) for value in values])
        kept = [
            next(new, MISSING) if own else entry for own, entry in zip(slots, entries, strict=True)
        ]
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


def _first(entries: list[Any], test: Callable[[Any], bool]) -> int | None:
    return next((at for at, entry in enumerate(entries) if test(entry)), None)


def _set(node: dict[str, Any], name: str, value: Any) -> None:
    if value is MISSING:
        node.pop(name, None)
    else:
        node[name] = value
