from functools import partial
from pathlib import Path

import orjson
import pytest

from bench import report
from bench.__main__ import compare
from bench.growth import TITLES, growth, show_growth
from bench.marking import marking, show_marking
from bench.ratios import TARGETS, ratios, show_ratios
from bench.setting import Asked, prepare
from fhir_server.settings import Settings

ASKED = Asked(seconds=0.2, rounds=1, connections=2)
SOME = ["search", "message", "send"]


@pytest.mark.slow
def test_compares_server_and_floor(
    settings_of_tests: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    compare(prepare(settings_of_tests, ASKED, tmp_path, 100), SOME)
    printed = capsys.readouterr().out
    assert "25 newest of a patient" in printed
    assert "FAILED" not in printed
    raw = orjson.loads(next(tmp_path.glob("*-floor.json")).read_bytes())
    assert list(raw["scenarios"]) == SOME
    for scenario in raw["scenarios"].values():
        assert scenario["ratio"] > 0


@pytest.mark.slow
def test_marks_messages_as_read(
    settings_of_tests: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_marking(marking(prepare(settings_of_tests, ASKED, tmp_path, 100)))
    assert "FAILED" not in capsys.readouterr().out


@pytest.mark.slow
def test_compares_searches_with_the_plain_one(
    settings_of_tests: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ratios(prepare(settings_of_tests, ASKED, tmp_path, 400, read=True))
    assert found["ratios"].keys() == TARGETS.keys()
    show_ratios(found)
    assert "FAILED" not in capsys.readouterr().out


@pytest.mark.slow
def test_compares_small_stores_with_large_ones(
    settings_of_tests: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = growth(partial(prepare, settings_of_tests, ASKED, tmp_path), (200, 400), 200, 50)
    assert found["growth"].keys() == TITLES.keys()
    for stores in found["growth"].values():
        assert list(stores) == ["200", "400", "200, one thread of 50"]
        assert all(ratio > 0 for ratio in stores.values())
    show_growth(found)
    assert "FAILED" not in capsys.readouterr().out
