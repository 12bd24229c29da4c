"""`_type`: which types a search of the whole server is about.

https://hl7.org/fhir/R4/search.html#type
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from fhir_server.interactions import Page
from fhir_server.problems import Problem

NAME = "_type"
Pairs = list[tuple[str, str]]


def split_types(params: Pairs, served: Container[str]) -> tuple[list[str], Pairs]:
    """The types that are named, each once, and the other parameters; 400 for one not served."""
    given = [value for name, value in params if name == NAME]
    others = [pair for pair in params if pair[0] != NAME]
    if len(given) > 1:
        raise Problem(400, "invalid", "_type is given once, as a list", expression=NAME)
    named = list(dict.fromkeys(name for name in ",".join(given).split(",") if name))
    if given and not named:
        raise Problem(400, "value", "_type: no value", expression=NAME)
    for name in named:
        if name not in served:
            why = f"_type: the type {name[:64]} is not served"
            raise Problem(400, "not-supported", why, expression=NAME)
    return named, others


def with_types(page: Page, named: Sequence[str]) -> Page:
    """The page, whose self link names the types as well."""
    return replace(page, used=[(NAME, ",".join(named)), *page.used]) if named else page
