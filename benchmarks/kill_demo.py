"""Kill journal writers, with stock Optuna and with us, and count what was lost.

    python benchmarks/kill_demo.py --kills 100

Three writers share one study, each trial carrying an attribute of 100 bytes to 1 MB. Every record
that Optuna acknowledged is noted elsewhere. Again and again the writers are killed with SIGKILL
while one of them writes, and others go on. At the end *stock* Optuna opens the journal and every
acknowledged record is looked up.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from journal_launcher import DurableJournalFileBackend

KILLS_PER_JOURNAL = 30  # a new journal then, or loading the large attributes takes the time
PATIENCE_S = 20.0
BACKENDS = {"stock": JournalFileBackend, "ours": DurableJournalFileBackend}


@dataclass
class Outcome:
    """What the kills did to the journals of one backend."""

    kills: int = 0
    journals: int = 0
    torn: int = 0
    locks_left: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    crashed: int = 0
    unreadable: int = 0
    error: str = ""
    slowest_recovery_s: float = 0.0


class Writers:
    """Forked processes that record trials and note every acknowledgement."""

    def __init__(self, backend: str, journal: Path, largest: int) -> None:
        self._backend, self._journal, self._largest = backend, journal, largest
        self.acknowledged = journal.with_suffix(".acknowledged")
        self.acknowledged.touch()
        self.running: list[int] = []
        self.crashed = 0
        self._group = 0

    def start(self) -> None:
        if not self.running:
            self._group = 0
        process = os.fork()
        if process:
            os.setpgid(process, self._group)
            self._group = self._group or process  # one signal kills all at the same moment
            self.running.append(process)
            return
        status = 1
        try:
            self._write()
        except BaseException:
            with open(self._journal.with_suffix(".crashes"), "a") as crashes:
                traceback.print_exc(file=crashes)
        finally:
            os._exit(status)

    def _write(self) -> None:
        notes = os.open(self.acknowledged, os.O_WRONLY | os.O_APPEND)
        storage = JournalStorage(BACKENDS[self._backend](str(self._journal)))
        study = storage.get_study_id_from_name("demo")
        rng = random.Random(os.urandom(8))
        while True:
            trial = storage.create_new_trial(study)
            key, size = uuid.uuid4().hex, int(100 * (self._largest / 100) ** rng.random())
            storage.set_trial_user_attr(trial, key, "x" * size)
            os.write(notes, f"attribute {key} {size}\n".encode())
            storage.set_trial_state_values(trial, TrialState.COMPLETE, [float(size)])
            os.write(notes, f"complete {key} {size}\n".encode())

    def kill_all(self) -> int:
        if self.running:
            os.killpg(self._group, signal.SIGKILL)
        for process in self.running:
            os.waitpid(process, 0)
        killed = len(self.running)
        self.running.clear()
        return killed

    def reap(self) -> None:
        for process in list(self.running):
            if os.waitpid(process, os.WNOHANG)[0]:
                self.running.remove(process)
                self.crashed += 1


def attack(backend: str, journal: Path, kills: int, writers: int, largest: int) -> Outcome:
    """Kill `kills` writers of one journal, then look up what they had been promised."""
    outcome = Outcome(journals=1)
    storage = JournalStorage(BACKENDS[backend](str(journal)))
    storage.create_new_study([StudyDirection.MINIMIZE], "demo")
    crowd = Writers(backend, journal, largest)
    try:
        while outcome.kills < kills and crowd.crashed < writers:
            while len(crowd.running) < writers:
                crowd.start()
            outcome.slowest_recovery_s = max(
                outcome.slowest_recovery_s, _wait_for_progress(crowd, journal)
            )
            time.sleep(random.random() * 0.02)
            _wait_for_large_write(journal)
            outcome.kills += crowd.kill_all()
            if backend == "stock" and os.path.lexists(f"{journal}.lock"):
                os.unlink(f"{journal}.lock")  # or the next writer waits for 30 s
                outcome.locks_left += 1
    finally:
        crowd.kill_all()
    _mend_end(backend, journal, storage)
    outcome.crashed = crowd.crashed
    _look_up(journal, crowd.acknowledged, outcome)
    return outcome


def _wait_for_progress(crowd: Writers, journal: Path) -> float:
    """Seconds until any writer is acknowledged again, or until all have crashed."""
    size, started = crowd.acknowledged.stat().st_size, time.monotonic()
    while crowd.acknowledged.stat().st_size == size and crowd.running:
        crowd.reap()
        if time.monotonic() - started > PATIENCE_S:
            raise TimeoutError(f"{journal}: no record within {PATIENCE_S} s")
        time.sleep(0.001)
    return time.monotonic() - started


def _wait_for_large_write(journal: Path) -> None:
    """Until somebody writes a large record: a kill at any other time rarely tears one."""
    size, deadline = journal.stat().st_size, time.monotonic() + 1.0
    while time.monotonic() < deadline:
        before, size = size, journal.stat().st_size
        if size - before >= 4096:
            return


def _mend_end(backend: str, journal: Path, storage: JournalStorage) -> None:
    """Write one more record, as the next launch would."""
    if backend == "stock":
        Path(f"{journal}.lock").unlink(missing_ok=True)
    try:
        storage.set_study_user_attr(0, "end", backend)
    except Exception as error:
        print(f"{backend}: the next record raised {error!r}", file=sys.stderr)


def _look_up(journal: Path, acknowledged: Path, outcome: Outcome) -> None:
    """The oracle: stock Optuna opens the journal; every acknowledged record is there once."""
    notes = [note.split() for note in acknowledged.read_text().splitlines()]
    outcome.acknowledged = len(notes)
    lines = journal.read_bytes().split(b"\n")
    outcome.torn = sum(1 for line in lines[:-1] if not _is_json(line))
    torn = Path(f"{journal}.torn")
    if torn.exists():
        outcome.torn += torn.read_bytes().count(b"\n--- ") + 1
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        trials = storage.get_all_trials(0, deepcopy=False)
    except Exception as error:
        outcome.unreadable, outcome.lost, outcome.error = 1, len(notes), repr(error)
        return
    found: dict[str, list[optuna.trial.FrozenTrial]] = {}
    for trial in trials:
        for key in trial.user_attrs:
            found.setdefault(key, []).append(trial)
    for what, key, size in notes:
        holders = found.get(key, [])
        outcome.duplicated += len(holders) > 1
        whole = holders and len(holders[0].user_attrs[key]) == int(size)
        complete = what == "attribute" or (holders and holders[0].state == TrialState.COMPLETE)
        outcome.lost += not (whole and complete)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def run(backend: str, kills: int, writers: int, largest: int, stop_at_loss: bool) -> Outcome:
    """Attack one journal after the other until `kills` writers are dead; the sum of it all."""
    total = Outcome()
    while total.kills < kills and not (stop_at_loss and total.lost):
        folder = Path(tempfile.mkdtemp(prefix="kill_demo-"))
        try:
            some = min(KILLS_PER_JOURNAL, kills - total.kills)
            outcome = attack(backend, folder / "demo.log", some, writers, largest)
        finally:
            shutil.rmtree(folder)
        for name, value in asdict(outcome).items():
            before = getattr(total, name)
            if name == "slowest_recovery_s":
                total.slowest_recovery_s = max(before, value)
            elif name == "error":
                total.error = before or value
            else:
                setattr(total, name, before + value)
    return total


def _table(stock: Outcome, ours: Outcome) -> list[str]:
    rows = {
        "writers killed": "kills",
        "journals": "journals",
        "unfinished records left by kills": "torn",
        "locks left behind (30 s each; removed by hand here)": "locks_left",
        "records acknowledged": "acknowledged",
        "**acknowledged records lost**": "lost",
        "**acknowledged records doubled**": "duplicated",
        "other writers crashed": "crashed",
        "journals that stock Optuna cannot open": "unreadable",
    }
    lines = ["| | stock Optuna | journal_launcher |", "|---|---:|---:|"]
    lines += [f"| {row} | {getattr(stock, n)} | {getattr(ours, n)} |" for row, n in rows.items()]
    slowest = [f"{o.slowest_recovery_s * 1000:.0f} ms" for o in (stock, ours)]
    return [*lines, f"| slowest next record after a kill | {slowest[0]} | {slowest[1]} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--largest", type=int, default=1_000_000, help="bytes of an attribute")
    parser.add_argument("--stop-at-loss", action="store_true")
    parser.add_argument("--backend", choices=tuple(BACKENDS), help="one of the two, as JSON")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = (arguments.kills, arguments.writers, arguments.largest, arguments.stop_at_loss)
    if arguments.backend:
        print(json.dumps(asdict(run(arguments.backend, *options))))
        return
    stock, ours = run("stock", *options), run("ours", *options)
    print("\n".join(_table(stock, ours)))
    if stock.error:
        print(f"\nstock Optuna's error: {stock.error}")


if __name__ == "__main__":
    main()
