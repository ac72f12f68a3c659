"""benchmarks/launcher.py: a peer that hangs is ended, named and left out."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from launcher.harness import wait_until

HANGING = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
open("pids", "w").write(str(child.pid))
time.sleep(1000)
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with monkeypatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
        # This suite has a package of that name.
        hidden = {name: sys.modules.pop(name) for name in [*sys.modules] if _hides(name)}
        import launcher

        yield launcher
        sys.modules.pop("launcher")
        sys.modules.update(hidden)


def lives(pid: int) -> bool:
    """Not as what only waits to be reaped."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _hides(name: str) -> bool:
    return name == "launcher" or name.startswith("launcher.")


def test_what_hangs_is_ended_with_all_that_it_started(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    monkeypatch.setattr(bench, "LIMIT", 5.0)
    with pytest.raises(SystemExit, match=r"hanging\.py: took longer than 5 s and was ended"):
        bench.processes([[sys.executable, str(script)]] * 2, "sleep", tmp_path)
    wait_until(lambda: not lives(int((tmp_path / "pids").read_text())))


def test_a_peer_that_hangs_is_left_out_and_the_others_are_measured(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = {"quick": 0, "hanging": 0}

    def run(name: str) -> bench.Peer:  # type: ignore[name-defined]
        def peer(work: str, folder: Path, n_trials: int, workers: int) -> None:
            rounds[name] += 1
            if name == "hanging":
                raise bench.TookTooLongError("ray_tune.py: took longer than 5 s and was ended")

        return peer

    monkeypatch.setattr(bench, "PEERS", {name: run(name) for name in rounds})
    options = argparse.Namespace(rounds=3, n_trials=1, workers=1)
    began = time.monotonic()
    found = bench.in_turns(options, "sleep")
    assert list(found) == ["quick"] and found["quick"] <= time.monotonic() - began
    assert rounds == {"quick": 3, "hanging": 1}
    line = "hanging: left out, ray_tune.py: took longer than 5 s and was ended"
    assert capsys.readouterr().out.splitlines() == [line]
    bench.print_ratios(found, "journal_launcher")
    assert "| quick | " in capsys.readouterr().out
