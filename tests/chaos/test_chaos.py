"""The chaos run, short enough for every test run; the long one is slow."""

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).with_name("chaos.py")


def _run(minutes: float, seed: int) -> str:
    result = subprocess.run(
        [sys.executable, str(CHAOS), "--minutes", str(minutes), "--seed", str(seed)],
        capture_output=True,
        text=True,
        timeout=minutes * 60 + 240,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_half_a_minute_of_chaos_loses_nothing() -> None:
    printed = _run(0.4, seed=1)
    assert "lost: nothing" in printed and "acknowledged records" in printed
    assert "kill worker" in printed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_minutes_of_chaos_lose_nothing(seed: int) -> None:
    printed = _run(10, seed)
    assert "lost: nothing" in printed
    for what in ("kill worker", "kill parent", "disk full", "torn tail", "pause", "stock writer"):
        assert what in printed
