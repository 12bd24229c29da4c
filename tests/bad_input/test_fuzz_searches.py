"""Searches composed at random from all that capability/ declares, and from what it does not."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from tests.bad_input.faces import well_shaped
from tests.bad_input.mutations import NASTY, names, texts
from tests.bad_input.world import FHIR, V1, World
from tests.support.effort import effort

MODIFIERS = (
    *("", "", "", ":missing", ":not", ":exact", ":contains", ":identifier", ":text", ":in"),
    *(
        ":above",
        ":below",
        ":of-type",
        ":Patient",
        ":Practitioner",
        ":Nothing",
        ":",
        "::",
        ":iterate",
    ),
)
RESULTS = (
    *("_sort", "_count", "_total", "_include", "_revinclude", "_include:iterate", "_summary"),
    *("_elements", "_cursor", "_format", "_pretty", "_id", "_lastUpdated", "_text", "_content"),
    *("_contained", "_tag", "_profile", "_security", "_source", "_list", "_type", "_filter"),
)
VALUES = (
    *("true", "false", "Patient/zahra", "zahra", "a", "completed", "|", "a|b", "|b", "a|", "a,b"),
    *("2020", "ge2020-01-01", "lt2020-01-01T00:00:00Z", "ap2020", "sa2020", "ap0001", "ap9999"),
    *("ne0001-01-01", "eb9999-12-31", "ap9999-12-31T23:59:59Z", "gt9999", "0001-01-01T00:00+14:00"),
    *("5", "5.40", "ne5", "ap5", "1e3", "1e-3", "1e9999", "-1e9999", "1e99999999", "NaN", "lt-0"),
    *("5|http://unitsofmeasure.org|mg", "5||mg", "5|", "ap1e300|a|b", "Infinity", "0x1"),
    *("-sent", "sent,-_id", "_id", "-_lastUpdated", "sent,sent,sent,sent,sent,sent", "-", "--x"),
    *("Communication:subject", "Communication:*", "*", "Communication:part-of", ":", "a:b:c"),
    *("Patient:link:Patient", "Communication:subject:Nothing", "none", "accurate", "count", "0"),
    *("\\", "\\,", "a\\,b", "$", "a$b", "https://x.example/Patient/1", "#x", "urn:uuid:x"),
)

often = settings(
    max_examples=effort(300), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
_values = (
    st.sampled_from(VALUES)
    | st.sampled_from([value for value in NASTY if isinstance(value, str)])
    | texts
    | st.lists(st.sampled_from(VALUES), min_size=2, max_size=4).map(",".join)
)


# The parameters of each type that capability/ serves.
CODES = {
    name: [*served.search, *RESULTS]
    for name, served in load_definitions(declared_root(), load_facts()).types.items()
}
TYPES = list(CODES)


def _name(resource: str) -> st.SearchStrategy[str]:
    """A parameter of the type, perhaps with a modifier; or nothing there is."""
    code = st.sampled_from(CODES[resource]) | names
    return st.builds(str.__add__, code, st.sampled_from(MODIFIERS))


PLAIN = {resource: _name(resource) for resource in TYPES}


@st.composite
def parameters(draw: st.DrawFn, resource: str) -> tuple[str, str]:
    """Name and value; a name may be a chain or `_has`, up to two deep."""
    name, at = "", resource
    for kind in draw(st.lists(st.sampled_from(["chain", "has"]), max_size=2)):
        other = draw(st.sampled_from(TYPES))
        if kind == "chain":
            name += f"{draw(PLAIN[at])}."
        else:
            name += f"_has:{other}:{draw(st.sampled_from(CODES[other]))}:"
        at = other
    return name + draw(PLAIN[at]), draw(_values)


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A type and its parameters."""
    resource = draw(st.sampled_from(TYPES))
    return resource, draw(st.lists(parameters(resource), min_size=1, max_size=4))


@given(
    search=searches(),
    handling=st.sampled_from(["strict", "lenient"]),
    caller=st.sampled_from(["doctor", "system"]),
)
@often
def test_a_search_is_answered_or_refused(
    world: World, search: tuple[str, list[tuple[str, str]]], handling: str, caller: str
) -> None:
    resource, params = search
    headers = {"prefer": f"handling={handling}"}
    response = world.ask("GET", f"{FHIR}/{resource}", params=params, caller=caller, headers=headers)
    well_shaped(response)
    if response.status_code == 200:
        assert response.json()["type"] == "searchset"


@given(data=st.data())
@often
def test_a_list_is_answered_or_refused(world: World, data: st.DataObject) -> None:
    known = ["limit", "cursor", "patientId", "state", "unreadOnly", "urgent"]
    words = ["1", "100", "true", "active", "all", "pat_zahra", "pat_x", "urgent", "-1", ""]
    pair = st.tuples(st.sampled_from(known) | names, st.sampled_from(words) | _values)
    params = data.draw(st.lists(pair, max_size=3))
    path = data.draw(st.sampled_from(["/threads", f"/threads/thr_{world.ids['thread']}/messages"]))
    well_shaped(world.ask("GET", V1 + path, params=params))


@given(path=st.lists(names | st.sampled_from(["Patient", "zahra", "_history", "$x", "1"])))
@often
def test_a_path_is_answered_or_refused(world: World, path: list[str]) -> None:
    # What a client's library makes of dots is no longer a path of the face.
    words = [quote(word, safe="") for word in path if word not in (".", "..")]
    for face in (FHIR, V1, "/v1/messaging"):
        well_shaped(world.ask("GET", "/".join([face, *words])))
