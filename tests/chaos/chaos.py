"""Everything at once, from one seed: `python tests/chaos/chaos.py --minutes 30 --seed 1`.

Launches of one study after the other run while workers and parents are killed, stopped, paused and
cut off from the disk, torn records appear at the journal's end, stock Optuna processes write to the
same journal and optuna-dashboard reads it. The same command is typed until the study is done; then
the books are checked. Prints what it did and what was lost; exits with 1 if anything was.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import psutil
from objective import value_of
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORKERS = 3


class Chaos:
    """One run. `losses` are the findings; an empty list is the only good result."""

    def __init__(self, folder: Path, seed: int, trials: int) -> None:
        self.folder, self.trials = folder, trials
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.losses: list[str] = []
        self.acks = folder / "acks"
        self.environment = {
            **os.environ,
            "CHAOS_ACKS": str(self.acks),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        }

    # --- the run

    def run(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._one_study(f"chaos_{self.done['studies']:03}", deadline)
            self.done["studies"] += 1

    def _one_study(self, name: str, deadline: float) -> None:
        """Type the same command until it is done, then check the books."""
        shutil.rmtree(self.acks, ignore_errors=True)
        self.acks.mkdir()
        journal = self.folder / f"{name}.log"
        with self._dashboard(journal):
            while True:
                code = self._one_launch(name, journal, calm=time.monotonic() > deadline)
                self.done[f"launches that ended with {code}"] += 1
                if code == 0:
                    break
                # Three blows in a row may close every worker; that is a 1, and resumable too.
                struck_out = code == 1 and "no worker is left" in self._last_words(name)
                # A signal before Python has installed our handlers: nothing was started yet.
                early = code in (-signal.SIGTERM, -signal.SIGINT)
                if code not in (75, 130, -signal.SIGKILL) and not (struck_out or early):
                    self.losses.append(f"{name}: exit code {code}; {self._last_words(name)}")
                    return
                self._tear(journal)
        self._check(name, journal)

    def _one_launch(self, name: str, journal: Path, *, calm: bool) -> int:
        command = [sys.executable, "-P", "-m", "journal_launcher", "run", "--gpus", "none"]
        command += ["--workers", str(WORKERS), "--objective", str(HERE / "objective.py:objective")]
        command += ["--n-trials", str(self.trials), "--study-name", name, "--max-retries", "1000"]
        command += ["--studies-dir", str(self.folder), "--max-failures", "1000"]
        with open(self.folder / f"{name}.out", "ab") as output:
            # What it says is written by another one, whose files a full disk does not limit.
            writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
        assert writer.stdin is not None
        with writer.stdin as said:
            parent = subprocess.Popen(
                command, env=self.environment, stdout=said, stderr=said, cwd=self.folder
            )
        next_blow = time.monotonic() + self.chance.uniform(0.5, 2.5)
        while parent.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                parent.wait(max(0.01, next_blow - time.monotonic()))
                break
            if not calm:
                self._blow(name, journal, parent)
            next_blow = time.monotonic() + self.chance.uniform(0.1, 1.5)
        writer.wait(30)
        return parent.returncode

    def _blow(self, name: str, journal: Path, parent: subprocess.Popen[bytes]) -> None:
        """One thing that goes wrong."""
        workers = self._workers(parent)
        victims = self.chance.choices(
            ["kill worker", "kill parent", "stop parent", "pause", "disk full", "stock writer"],
            weights=[8, 3, 1, 3, 2, 3],
        )
        what = victims[0]
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            match what:
                case "kill worker" if workers:
                    self.chance.choice(workers).kill()
                case "kill parent":
                    parent.kill()
                case "stop parent":
                    parent.send_signal(self.chance.choice([signal.SIGTERM, signal.SIGINT]))
                case "pause" if workers:
                    self._pause(self.chance.choice([*workers, psutil.Process(parent.pid)]))
                case "disk full" if journal.exists():
                    self._fill_disk(journal, [parent.pid, *(worker.pid for worker in workers)])
                case "stock writer" if journal.exists():
                    self._write_as_stock(name, journal)
                case _:
                    return
        self.done[what] += 1

    # --- what goes wrong

    def _workers(self, parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(parent.pid).children()
        return []

    def _pause(self, process: psutil.Process) -> None:
        process.suspend()
        time.sleep(self.chance.uniform(0.1, 2.0))
        process.resume()

    def _fill_disk(self, journal: Path, pids: list[int]) -> None:
        """No file of these processes may grow beyond a few bytes more than the journal has."""
        limit = journal.stat().st_size + self.chance.randrange(200)
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def _write_as_stock(self, name: str, journal: Path) -> None:
        """Three trials by stock Optuna, side by side with the launch.

        Not on a torn tail: a stock writer glues its record to it, which no reader can undo.
        """
        with open(journal, "rb") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read() != b"\n":
                return
        command = [sys.executable, str(HERE / "stock_writer.py"), str(journal), name]
        with open(self.folder / f"{name}.out", "ab") as output:
            code = subprocess.run(
                command, env=self.environment, stdout=output, stderr=output, timeout=90
            ).returncode
        self.done[f"stock writers that ended with {code}"] += 1

    def _tear(self, journal: Path) -> None:
        """Leave what a power cut leaves behind the last whole record."""
        if journal.exists() and self.chance.random() < 0.5:
            tails = [b'{"op_code":8,"worker_id":"torn', b"\0" * 4096, b'{"op_code":5}'[:-1], b"{"]
            with open(journal, "ab") as file:
                file.write(self.chance.choice(tails))
            self.done["torn tail"] += 1

    @contextlib.contextmanager
    def _dashboard(self, journal: Path) -> Iterator[None]:
        """optuna-dashboard reads the journal all the time and shows the study at the end."""
        code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
        with socket.create_server(("127.0.0.1", 0)) as free:  # another run may have the same seed
            port = free.getsockname()[1]
        journal.touch(mode=0o600)
        arguments = [str(journal), "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError, ValueError):
                    url = f"http://127.0.0.1:{port}/api/studies"
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        if len(json.load(answer)["study_summaries"]) == 1:
                            self.done["dashboards that showed the study"] += 1
                            return
            self.losses.append(f"{journal.name}: optuna-dashboard could not open it")
        finally:
            process.kill()
            process.wait()

    # --- the books

    def _check(self, name: str, journal: Path) -> None:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.load_study(study_name=name, storage=storage)
        trials = study.trials
        finished = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        self.done["finished trials"] += len(finished)
        self.done["failed trials"] += sum(t.state == TrialState.FAIL for t in trials)
        if len(finished) != self.trials:
            self.losses.append(f"{name}: {len(finished)} finished trials, expected {self.trials}")
        stale = [t.number for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]
        if stale:
            self.losses.append(f"{name}: trials {stale} still run or wait")
        for trial in finished:
            if trial.values != [value_of(**trial.params)]:
                self.losses.append(f"{name}: trial {trial.number} has another trial's value")
        for path in self.acks.iterdir():
            for line in path.read_text().splitlines():
                number, key, size = json.loads(line)
                self.done["acknowledged records"] += 1
                if trials[number].user_attrs.get(key) != "x" * size:
                    self.losses.append(f"{name}: record {key} of trial {number} is lost")
        self._check_model(name, study)
        self._check_processes(name)

    def _check_model(self, name: str, study: optuna.Study) -> None:
        directory = self.folder / name
        sidecar = json.loads((directory / "best_model.meta.json").read_text())
        best = json.loads((directory / "best_model" / "best.json").read_text())
        expected = study.best_trial
        if (sidecar["trial"], best["number"]) != (expected.number, expected.number):
            self.losses.append(f"{name}: the saved model is not that of the best trial")
        if best["value"] != expected.value or sidecar["params"] != expected.params:
            self.losses.append(f"{name}: the best model is not what its parameters give")
        for file, digest in sidecar["files"].items():
            if hashlib.sha256((directory / file).read_bytes()).hexdigest() != digest:
                self.losses.append(f"{name}: {file} is not what was saved")

    def _check_processes(self, name: str) -> None:
        """Nothing that worked for this run is left, one second after the launch."""
        deadline = time.monotonic() + 1
        while left := [pid for pid in psutil.pids() if self._is_ours(pid)]:
            if time.monotonic() > deadline:
                self.losses.append(f"{name}: processes {left} are left")
                return

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).environ().get("CHAOS_ACKS") == str(self.acks)
        return False

    def _last_words(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text(errors="replace")[-2000:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=40, help="of each study")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="chaos "))
    chaos = Chaos(folder, options.seed, options.trials)
    chaos.run(options.minutes * 60)
    print(f"seed {options.seed}, {options.minutes:g} minutes, studies of {options.trials} trials")
    for what, count in sorted(chaos.done.items()):
        print(f"{count:8}  {what}")
    print("lost: nothing" if not chaos.losses else "lost:\n" + "\n".join(chaos.losses))
    if not chaos.losses:
        shutil.rmtree(folder)
    return 1 if chaos.losses else 0


if __name__ == "__main__":
    sys.exit(main())
