from functools import partial
from pathlib import Path

import orjson
import pytest

from bench import report
from bench.__main__ import compare
from bench.growth import growth
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
def test_compares_a_small_store_with_a_large_one(
    settings_of_tests: Settings, tmp_path: Path
) -> None:
    found = growth(partial(prepare, settings_of_tests, ASKED, tmp_path), (100, 200))
    assert found["growth"] > 0
    assert all(not run["failed"] for turn in found["rounds"] for run in turn)
