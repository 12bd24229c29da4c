"""Reading an element out of JSON, whatever its shape: choice types, lists, extended primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fhir_server.validation.fields import title
from fhir_server.validation.place import Place
from fhir_server.validation.primitives import TESTS
from fhir_server.validation.run import Json

_PRIMITIVES = {title(name): name for name in TESTS}


class Value(NamedTuple):
    """`beside` holds a primitive's id and extensions; `type` is known for choices only."""

    value: Any
    beside: Any
    place: Place
    type: str | None

    @property
    def kind(self) -> str | None:
        """The type of a choice, or that of a resource; None where the definition tells."""
        if self.type:
            return self.type
        named = self.object.get("resourceType")
        return named if isinstance(named, str) else None

    @property
    def object(self) -> Json:
        """What has children: the value itself, or what stands beside a primitive."""
        if type(self.value) is dict:
            return self.value
        return self.beside if type(self.beside) is dict else {}


def read(owner: Json, name: str, at: Place) -> list[Value]:
    """All values of an element (`name`, `value[x]`) of `owner`."""
    if name.endswith("[x]"):
        return _choice(owner, name[:-3], at)
    return _named(owner, name, name, None, at)


def _choice(owner: Json, stem: str, at: Place) -> list[Value]:
    found: list[Value] = []
    for written in owner:
        key = written.removeprefix("_")
        suffix = key[len(stem) :]
        twice = key != written and key in owner
        if key.startswith(stem) and suffix[:1].isupper() and not twice:
            type_name = _PRIMITIVES.get(suffix, suffix)
            found += _named(owner, key, f"{stem}.ofType({type_name})", type_name, at)
    return found


def _named(owner: Json, key: str, label: str, type_: str | None, at: Place) -> list[Value]:
    value, beside = owner.get(key), owner.get("_" + key)
    if type(value) is list or type(beside) is list:
        pairs = ((i, _item(value, i), _item(beside, i)) for i in range(_longest(value, beside)))
        return [
            Value(one, other, (at, label, index), type_)
            for index, one, other in pairs
            if one is not None or other is not None
        ]
    if value is None and beside is None:
        return []
    return [Value(value, beside, (at, label, None), type_)]


def _longest(*values: Any) -> int:
    return max(len(value) if type(value) is list else 0 for value in values)


def _item(value: Any, index: int) -> Any:
    return value[index] if type(value) is list and index < len(value) else None


def below(value: Value, steps: Sequence[str]) -> list[Value]:
    """The values at the end of a path of element names."""
    found = [value]
    for step in steps:
        found = [v for one in found for v in _step(one.object, step, one.place)]
    return found


def _step(owner: Json, name: str, at: Place) -> list[Value]:
    return read(owner, name, at) or read(owner, name + "[x]", at)


def matches(pattern: Any, value: Any) -> bool:
    """Does `value` have all that `pattern` has? Lists in any order."""
    if isinstance(pattern, dict):
        held = isinstance(value, dict)
        return held and all(k in value and matches(p, value[k]) for k, p in pattern.items())
    if isinstance(pattern, list):
        held = isinstance(value, list)
        return held and all(any(matches(p, v) for v in value) for p in pattern)
    return bool(type(pattern) is type(value) and pattern == value)
