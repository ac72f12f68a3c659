"""Journals to damage, and ways to do it."""

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from stock_and_ours import new_journal

from journal_launcher.study.journal.backend import DurableJournalFileBackend

COMPLETE, FAIL, RUNNING = TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING


def line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def insert(journal: Path, index: int, damage: bytes) -> int:
    """Put `damage` before line `index` (from 0); the byte where it starts."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:index], damage, *lines[index:]]))
    return len(b"".join(lines[:index]))


def two_workers(journal: Path, trials: int) -> Path:
    """Two workers, each with a trial open, take turns; trial n has the value n."""
    new_journal(journal)
    workers = [JournalStorage(DurableJournalFileBackend(journal)) for _ in range(2)]
    open_trials: list[tuple[JournalStorage, int]] = []
    for number in range(trials):
        worker = workers[number % 2]
        open_trials.append((worker, worker.create_new_trial(0)))
        if len(open_trials) == 2 or number == trials - 1:
            for owner, trial in open_trials:
                distribution = optuna.distributions.FloatDistribution(0, 100)
                owner.set_trial_param(trial, "x", float(trial), distribution)
                owner.set_trial_state_values(trial, COMPLETE, [float(trial)])
            open_trials.clear()
    return journal


def line_of(journal: Path, operation: int, occurrence: int) -> int:
    lines = journal.read_bytes().splitlines()
    found = [i for i, text in enumerate(lines) if json.loads(text)["op_code"] == operation]
    return found[occurrence]


def overwrite(journal: Path, index: int, damage: bytes) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[index] = damage
    journal.write_bytes(b"".join(lines))
