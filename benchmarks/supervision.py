"""Kill workers and parents of real launches, and time what follows.

    python benchmarks/supervision.py [--rounds 20]

Three moments of a study with two CPU workers, whose trials wait and have started a child each:
a worker is killed, until the parent has written so; the parent is killed, until no process of the
launch is left; the same command is typed again, until an objective runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60.0
OBJECTIVE = """
import os, subprocess, time
from pathlib import Path

def objective(trial):
    child = subprocess.Popen(["sleep", "1000"])
    Path("running", f"{trial.number}.part").write_text(f"{os.getpid()} {child.pid}")
    os.rename(f"running/{trial.number}.part", f"running/{trial.number}")
    while True:
        time.sleep(60)
"""


class Launch:
    """One study in a folder of its own; `start` types the same command again."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder, self.workers = folder, workers
        self.journal = folder / "studies" / "study.log"
        (folder / "running").mkdir()
        (folder / "wait.py").write_text(OBJECTIVE)
        self.parent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["--objective=wait.py:objective", "--study-name=study", "--studies-dir=studies"]
        words += ["--gpus=none", f"--workers={self.workers}", "--n-trials=1000", "-q"]
        self.parent = subprocess.Popen(
            [sys.executable, "-P", "-m", "journal_launcher", "run", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.parent is not None
        self.parent.kill()
        self.parent.wait()

    def running(self) -> dict[int, list[int]]:
        """Trial -> its worker and the child that it started, of every trial that ever ran."""
        notes = [path for path in (self.folder / "running").iterdir() if path.suffix != ".part"]
        return {int(path.name): [int(pid) for pid in path.read_text().split()] for path in notes}

    def left(self) -> bool:
        """Does any process still live that was started in the folder?"""
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    return True
            except (psutil.Error, OSError):
                continue
        return False


def until(happened: Callable[[], bool]) -> float:
    """Seconds until something has happened."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"nothing happened within {PATIENCE_S} s")
        time.sleep(0.001)
    return time.monotonic() - began


def one_round(folder: Path) -> dict[str, float]:
    launch, found = Launch(folder), {}
    launch.start()
    until(lambda: len(launch.running()) == launch.workers)
    size = launch.journal.stat().st_size
    os.kill(launch.running()[0][0], 9)
    found["a worker's death is in the journal"] = until(
        lambda: launch.journal.stat().st_size > size
    )
    until(lambda: len(launch.running()) == launch.workers + 1)  # restarted
    launch.kill()
    found["all processes are gone after their parent's death"] = until(lambda: not launch.left())
    before = len(launch.running())
    launch.start()
    found["the same command again, to its first trial"] = until(
        lambda: len(launch.running()) > before
    )
    launch.kill()
    until(lambda: not launch.left())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = []
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory(prefix="supervision-") as folder:
            rounds.append(one_round(Path(folder).resolve()))
    print(f"load {os.getloadavg()[0]:.1f}, {len(rounds)} rounds\n")
    print("| seconds until | median | max |\n|---|---:|---:|")
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        print(f"| {name} | {statistics.median(values):.3f} | {max(values):.3f} |")


if __name__ == "__main__":
    main()
