"""New ids are valid, unique, and sort by time."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from fhir_server.fhir.ids import is_id, new_id


def test_new_ids_are_version_7_uuids() -> None:
    number = UUID(new_id())
    assert number.version == 7
    assert number.variant == "specified in RFC 4122"
    assert abs((number.int >> 80) - time.time_ns() // 1_000_000) < 1_000


def test_new_ids_differ_and_are_ids() -> None:
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(map(is_id, ids))


def test_later_ids_sort_later() -> None:
    earlier = new_id()
    time.sleep(0.002)
    assert earlier < new_id()


@pytest.mark.parametrize("text", ["a", "A-1.b", "0" * 64])
def test_ids(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "a_b", "0" * 65, "a/b", "a\n", "é", "a b", "\u0661"])
def test_other_texts(text: str) -> None:
    assert not is_id(text)
