"""Resources broken at random: the official examples, each changed in a few places."""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.bad_input.faces import MARKER
from tests.support.official import examples

Json = Any
Spot = tuple[Any, Any]

# A character's strategy, whatever text a test makes: surrogates cannot be sent.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# A name, which a refusal may repeat: of letters that spell nothing a refusal may not say.
names = st.text("abcäXYZ_$.:| %\\\u202e\x01", max_size=12)

# No database compresses it below what an index entry may take.
LONG = "".join(random.Random(0).choices(string.ascii_letters + string.digits, k=6000))

# Values that have broken servers before, wherever they stood.
NASTY: list[Json] = [
    *("", " ", "\t", "\u202e", "\ufeff", "\ufffe", "😀" * 50, "a" * 5000, "\u0301" * 1000),
    *("..", "../../x", "#", "#x", "/", "//", "?", "urn:", "urn:uuid:", "urn:oid:1.2", "https://"),
    *("Patient/", "/Patient/1", "Patient/1/", "Patient/1/_history/", "Patient/1/_history/0"),
    *("Patient/" + "x" * 300, "https://x.example/" + "y" * 3000, "Nothing/1", "Patient?x=1"),
    *("0000", "0000-00-00", "9999-12-31", "9999-12-31T23:59:59.999999999-12:00"),
    *("0001-01-01T00:00:00+14:00", "2020-02-30", "2020-01-01T24:00:00Z", "2020-W01", "20200101"),
    *("<div>", '<div xmlns="http://www.w3.org/1999/xhtml"><script>1</script></div>', "<" * 2000),
    *('<!DOCTYPE x [<!ENTITY a "aaa">]><div xmlns="http://www.w3.org/1999/xhtml">&a;</div>',),
    *("|", "a|b|c", "\\", "%", "%00", "$this", "{{x}}", "' OR 1=1 --", "\r\nX: y", "=cmd()"),
    *(f"{MARKER}", f"{MARKER} " * 20, "true", "null", "NaN", "-0", "1e400", "MARKER"),
    *(0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 0.1, -0.0, 1e300, 1e-300, 5e-324),
    *(LONG, f"https://x.example/{LONG}", f"https://x.example/Patient/{LONG[:64]}", f"urn:{LONG}"),
    *(LONG[:3000], "é" * 3000, f"{LONG} {LONG}", {"system": f"urn:{LONG}", "code": LONG}),
    *({"reference": f"https://{LONG}"}, {"value": LONG}, {"identifier": {"value": LONG}}),
    *(True, False, None, [], {}, [[]], [{}], [None], [[[]]], {"": ""}, {"a": {"b": {"c": []}}}),
    *({"reference": "#x"}, {"reference": MARKER}, {"value": 1e300}, {"start": "x", "end": "y"}),
    *({"extension": [{"url": "x"}]}, {"id": "x"}, {"system": "", "code": ""}, {"resourceType": 1}),
    *({"low": {"value": 2}, "high": {"value": 1}}, {"coding": [{}]}, {"low": 1}, {"event": [1]}),
]
_scalars = st.one_of(
    st.sampled_from(NASTY),
    texts,
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
json_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@cache
def originals() -> tuple[dict[str, Any], ...]:
    """The official examples, small ones only; one resource of our own in a mere clone."""
    read = [json.loads(path.read_text("utf-8")) for path in examples()]
    small = [resource for resource in read if len(json.dumps(resource)) < 20_000]
    own = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/zahra", "display": "x"},
        "category": [{"coding": [{"system": "urn:x", "code": "y"}]}],
        "sent": "2020-01-01T00:00:00Z",
        "payload": [{"contentString": "x"}],
        "note": [{"text": "x", "time": "2020-01-01T00:00:00Z"}],
    }
    return (*small, own)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """An example, changed in one to four places."""
    resource: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(originals())))
    for _ in range(draw(st.integers(1, 4))):
        found = list(_spots(resource))
        if found:
            _change(draw, *draw(st.sampled_from(found)))
    return resource


def _change(draw: st.DrawFn, parent: Any, key: Any) -> None:
    """One change of what `parent` has at `key`."""
    kind = draw(st.sampled_from(["value", "value", "value", "gone", "list", "twice", "name", "in"]))
    value = parent[key]
    if kind == "value":
        # A copy: the next change may be inside, and the value is drawn again.
        parent[key] = copy.deepcopy(draw(json_values))
    elif kind == "gone":
        del parent[key]
    elif kind == "list":
        parent[key] = value[0] if isinstance(value, list) and value else [value]
    elif kind == "twice" and isinstance(parent, list):
        parent.append(copy.deepcopy(value))
    elif kind == "in":
        parent[key] = {"extension": [{"url": "urn:x", "valueString": "x"}], "value": value}
    elif isinstance(parent, dict):
        name = draw(st.sampled_from(["_" + str(key), str(key).upper(), f"{key}[x]", "id", "meta"]))
        parent[name] = parent.pop(key)


def _spots(node: Any) -> Iterator[Spot]:
    """Every place in the tree but the resource's type."""
    if isinstance(node, dict):
        keys: list[Any] = [key for key in node if key != "resourceType"]
    elif isinstance(node, list):
        keys = list(range(len(node)))
    else:
        return
    for key in keys:
        yield node, key
        yield from _spots(node[key])
