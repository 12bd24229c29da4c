"""Every place of a request that can hold a word: made from what both faces declare.

A word is put where a value stands: into each element of each type, each parameter, header and id of
a path, each field of each v1 route. Names (of elements, parameters, types) are no
values, wherever they stand: in `_sort`, `_type`, `_elements`, the path of a patch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote

from fhir_server.declarations import Declarations
from fhir_server.definitions.facts import Facts
from fhir_server.definitions.shapes import r4_shapes
from fhir_server.fhir.xml import write
from fhir_server.validation.fields import title
from fhir_server.validation.primitives import TESTS
from tests.capability.instances import smallest
from tests.support.clinic import FHIR, JSON, Resource
from tests.support.effort import turns

# Stands for all that is known of a patient. Letters only: it is an id and a code as well.
WORD = "Zerfoghondi"
DEEPEST = 2
MODIFIERS = (
    ".name",
    ":exact",
    ":contains",
    ":missing",
    ":not",
    ":in",
    ":above",
    ":identifier",
    ":text",
)
SPECIAL = (
    *("_count", "_summary", "_total", "_cursor", "_filter", "_has:Communication:subject:_id"),
    *("_list", "_format", "_since", "_at", "_pretty", "_lastUpdated", "_content", "_text"),
)
HEADERS = (
    *("If-Match", "If-None-Match", "If-None-Exist", "If-Modified-Since", "If-Unmodified-Since"),
    *(
        "Prefer",
        "Accept",
        "Accept-Language",
        "X-Request-Id",
        "X-Client-Mutation-Id",
        "Upload-Offset",
    ),
    *("Content-Type", "Idempotency-Key", "Authorization", "User-Agent", "Traceparent", "Range"),
)
_numbers = count()


@dataclass(frozen=True)
class Asked:
    """One request; the path holds its query."""

    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def every(declared: Declarations, facts: Facts, ids: Mapping[str, str]) -> Iterator[Asked]:
    """All of them, for a world in which v1's path parameters have these ids.

    In an ordinary run every place, in turn with one method and another; all with more effort.
    """
    for turn, type in enumerate(declared.definitions.types):
        yield from _of_type(facts, type, turn)
    for type, served in declared.definitions.types.items():
        yield from _searches(type, sorted(served.search))
    yield from _system(facts)
    yield from _operations(declared)
    yield from _v1(declared, ids)


def bodies(facts: Facts, type: str) -> Iterator[Resource]:
    """The smallest resource, with the word in each element in turn, and in all of them."""
    least, elements = smallest(facts, type), facts.structures[type]["elements"]
    found = dict(_children(facts, elements, type, 0))
    for name, value in found.items():
        yield {**least, name: value}
    yield {**least, **{n: v for n, v in found.items() if "[x]" not in n}}
    yield {**least, WORD.lower(): WORD}


def _children(facts: Facts, elements: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for child, about in elements.items():
        parent, _, name = child.rpartition(".")
        if parent != path or name == "contained":
            continue
        for kind in about.get("type", ())[:4]:
            value = _value(facts, elements, child, kind, depth)
            if value is not None:
                key = name.replace("[x]", title(kind))
                yield key, [value] if about.get("max", "1") != "1" else value


def _value(facts: Facts, elements: Any, path: str, kind: str, depth: int) -> Any:
    if kind in TESTS:
        return WORD
    if kind == "Reference":
        return {"reference": f"Patient/{WORD}", "display": WORD, "type": WORD}
    if depth >= DEEPEST or (kind not in facts.structures and kind != "BackboneElement"):
        return None
    inner = (
        (elements, path)
        if kind == "BackboneElement"
        else (facts.structures[kind]["elements"], kind)
    )
    return dict(_children(facts, *inner, depth + 1)) or None


def _of_type(facts: Facts, type: str, turn: int) -> Iterator[Asked]:
    at, one = f"{FHIR}{type}", f"{FHIR}{type}/{WORD}"
    for n, body in enumerate(bodies(facts, type)):
        sent = (
            _sent("POST", at, body),
            _sent("POST", f"{at}/$validate", body),
            _sent("PUT", f"{one}x", {**body, "id": f"{WORD}x"}),
            Asked("POST", at, _xml(body), {"Content-Type": "application/fhir+xml"}),
        )
        yield from turns(sent, n, 4)
    for n, name in enumerate(HEADERS):
        value = f"identifier={WORD}&birthdate={WORD}" if name == "If-None-Exist" else WORD
        headed = (
            _sent("POST", at, smallest(facts, type), {name: value}),
            Asked("GET", one, headers={name: WORD}),
            _sent("PUT", one, {**smallest(facts, type), "id": WORD}, {name: WORD}),
        )
        yield from turns(headed, n + turn, 3)
    for method, path in (
        *(("GET", one), ("GET", f"{one}/_history/1"), ("GET", f"{at}/x/_history/{WORD}")),
        *(("GET", f"{one}/_history"), ("DELETE", one), ("POST", f"{one}/$mark-read")),
        *(("GET", f"{one}/$everything?_type={WORD}"), ("GET", f"{FHIR}Patient/{WORD}/{type}")),
        *(("DELETE", f"{at}?_id={WORD}&_count={WORD}"), ("PUT", f"{at}?_id={WORD}")),
    ):
        yield Asked(method, path)
    for kind, patch in _patches(type):
        yield Asked("PATCH", one, patch, {"Content-Type": kind})
    yield Asked("POST", at, f'{{"resourceType": "{WORD}'.encode(), {"Content-Type": JSON})
    yield Asked("POST", at, f"<{type}><{WORD}".encode(), {"Content-Type": "application/fhir+xml"})
    yield Asked("POST", at, WORD.encode() + b"\xff", {"Content-Type": JSON})


def _xml(body: Resource) -> bytes:
    try:
        return write(body, r4_shapes())
    except (ValueError, TypeError, KeyError, AttributeError):  # no XML can say it
        return f'<x xmlns="http://hl7.org/fhir"><id value="{WORD}"/></x>'.encode()


def _patches(type: str) -> Iterator[tuple[str, bytes]]:
    for operation in (
        {"op": WORD, "path": "/status", "value": WORD},
        {"op": "replace", "path": "/nothing", "value": WORD},
        {"op": "test", "path": "/status", "value": WORD},
        {"op": "add", "path": "/status", "value": WORD},
        {"op": "move", "path": "/status", "from": WORD},
    ):
        yield "application/json-patch+json", json.dumps([operation]).encode()
    yield "application/merge-patch+json", json.dumps({"status": WORD, "language": WORD}).encode()
    for path in (
        f"{type}.status",
        f"{type}.where(id = '{WORD}')",
        f"'{WORD}",
        f"{type}.is('{WORD}",
    ):
        parts = [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": path},
            {"name": "value", "valueString": WORD},
        ]
        patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
        yield JSON, json.dumps(patch).encode()


def _searches(type: str, names: list[str]) -> Iterator[Asked]:
    at = f"{FHIR}{type}"
    for number, name in enumerate(names):
        words = (f"{name} eq {WORD}", f"{name} eq {WORD!r} {WORD}", f"{name}.name co {WORD}")
        asked = (
            f"{name}={WORD}",
            f"{name}{MODIFIERS[number % len(MODIFIERS)]}={WORD}",
            f"{name}=eq{WORD},urn:x|{WORD},Patient/{WORD}",
            f"_filter={quote(words[number % 3])}",
        )
        for query in turns(asked, number + len(type), 4):
            yield Asked("GET", f"{at}?{query}")
    for number, name in enumerate(SPECIAL):
        for way in turns((at, f"{at}/_history"), number + len(type), 2):
            yield Asked("GET", f"{way}?{name}={WORD}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    yield Asked("POST", f"{at}/_search", f"_id={WORD}&_count={WORD}".encode(), form)


def _system(facts: Facts) -> Iterator[Asked]:
    for name in SPECIAL:
        yield Asked("GET", f"{FHIR[:-1]}?_type=Patient&{name}={WORD}")
        yield Asked("GET", f"{FHIR}_history?{name}={WORD}")
    for type in ("batch", "transaction", WORD):
        for request in (
            {"method": "GET", "url": f"Patient/{WORD}"},
            {"method": "GET", "url": f"Patient?name={WORD}&birthdate={WORD}"},
            {"method": WORD, "url": "Patient"},
            {"method": "POST", "url": "Patient", "ifNoneExist": f"birthdate={WORD}"},
            {"method": "PUT", "url": f"Patient?birthdate={WORD}", "ifMatch": WORD},
            {"method": "PUT", "url": f"https://elsewhere.example/{WORD}"},
            {"method": "PATCH", "url": f"Patient/{WORD}"},
        ):
            resources = list(bodies(facts, "Patient"))[:: 4 if type == "batch" else 12]
            entries = [
                {"fullUrl": f"urn:x:{WORD}", "resource": body, "request": request}
                for body in resources
            ]
            bundle = {"resourceType": "Bundle", "type": type, "entry": entries}
            yield _sent("POST", FHIR[:-1], bundle)


def _operations(declared: Declarations) -> Iterator[Asked]:
    """The terminology ones, and those of the domain, with the word for each parameter."""
    asked = {
        "CodeSystem": ("lookup", "validate-code", "subsumes"),
        "ValueSet": ("expand", "validate-code"),
        "ConceptMap": ("translate",),
    }
    names = (
        *("url", "system", "code", "version", "display", "filter", "count", "context", "date"),
        *("codeA", "codeB", "source", "target", "displayLanguage", "valueSet", "coding"),
    )
    known = f"url={quote('https://fhir.ghasi.af/ValueSet/urgency', safe='')}"
    for type, operations in asked.items():
        for name in operations:
            for parameter in names:
                yield Asked("GET", f"{FHIR}{type}/${name}?{parameter}={WORD}")
                yield Asked("GET", f"{FHIR}{type}/${name}?{known}&code=x&{parameter}={WORD}")
    for parameter in ("mode", "_format"):
        yield Asked("GET", f"{FHIR}metadata?{parameter}={WORD}")
    parts = [{"name": name, "valueString": WORD} for name in ("reader", "readAt", "message")]
    parameters = {"resourceType": "Parameters", "parameter": parts}
    for type, served in declared.definitions.types.items():
        for name in served.operations:
            yield _sent("POST", f"{FHIR}{type}/${name}", parameters)
            yield _sent("POST", f"{FHIR}{type}/{WORD}/${name}", parameters)


def _v1(declared: Declarations, ids: Mapping[str, str]) -> Iterator[Asked]:
    for route in declared.mappings.routes:
        path = route.prefix + route.template
        good = path.format(**ids)
        wrong = path.format(**{name: f"{id.partition('_')[0]}_{WORD}" for name, id in ids.items()})
        fields = list(route.body.taken) if route.body else []
        for turn, at in enumerate(dict.fromkeys((good, wrong))):
            for name in turns(HEADERS, turn, 1 if good == wrong else 2):
                yield _called(route.method, at, {}, {name: WORD})
            yield _called(route.method, f"{at}?{WORD.lower()}={WORD}", {})
            for name in [*(route.declared.filters or ()), "limit", "cursor"]:
                yield _called(route.method, f"{at}?{name}={WORD}", {})
            values = (WORD, [WORD], [f"usr_{WORD}"], {WORD.lower(): WORD}, f"{WORD}\x07")
            for number, name in enumerate(fields):
                for value in turns(values, number + turn, 2):
                    yield _called(route.method, at, {name: value})
            yield _called(route.method, at, dict.fromkeys(fields, WORD))
            yield _called(route.method, at, [WORD])
            yield Asked(route.method, at, f'{{"{WORD}": "{WORD}'.encode(), _usual(route.method))


def _called(method: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Asked:
    content = b"" if method in ("GET", "DELETE") else json.dumps(body).encode()
    return Asked(method, path, content, {**_usual(method), **(headers or {})})


def _usual(method: str) -> dict[str, str]:
    found = {"Content-Type": "application/json"}
    return found | ({"Idempotency-Key": f"told-{next(_numbers)}"} if method == "POST" else {})


def _sent(
    method: str, path: str, body: Resource, headers: Mapping[str, str] | None = None
) -> Asked:
    return Asked(method, path, json.dumps(body).encode(), {"Content-Type": JSON, **(headers or {})})
