"""What any writer may have put into a study, read as absent where it is of another kind.

A dashboard, a user's script and whoever sends a journal can set every attribute to anything. What
decides what the study *is* is refused in `StudyHandle` instead: no guess would be right.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.stored import number, numbers, table, text, whole
from journal_launcher.base.artifacts.trial_attributes import FoldScores, TrialAttributes
from journal_launcher.study.optuna_private import (
    CONSTRAINT,
    CONSTRAINTS,
    FIXED_PARAMS,
    RETRY_HISTORY,
)

__all__ = [
    "ARGUMENTS",
    "COPY_OF",
    "IMPORTED",
    "arguments_mark",
    "baselines",
    "changed_notes",
    "confirmation",
    "is_imported",
    "number",
    "numbers",
    "optunas_own",
    "refittable",
    "repeated",
    "retries",
    "seconds",
    "table",
    "text",
    "whole",
]

ARGUMENTS = "arguments after --"
"""Under which a study notes a mark of what followed `--`."""

COPY_OF = "journal_launcher_copy_of"
"""System attribute of a trial that is queued again: the number of the one that it repeats."""


IMPORTED = "journal_launcher_imported"
"""Under which a study notes how many of its trials, the first ones, an import brought."""


# --- of a study


def is_imported(study_attributes: Mapping[str, Any], trial: int) -> bool:
    """Did an import bring this trial? Its folder, if it had any, did not come with it."""
    return trial < (whole(study_attributes.get(IMPORTED)) or 0)


def baselines(value: Any) -> Baselines | None:
    """Scores of the dummy and the linear model; None if there are none."""
    found = Baselines.from_json(table(value))
    return found if found.by_name else None


def confirmation(value: Any) -> Confirmation | None:
    """Of a trial that was confirmed."""
    found = Confirmation.from_json(table(value))
    return None if None in (found.score, found.fold_scores) else found


def changed_notes(before: Any, now: Mapping[str, Any]) -> list[str]:
    """Names of what was noted before and is another now."""
    known = table(before)
    return [key for key, value in now.items() if key in known and not _same(known[key], value)]


def _same(before: Any, now: Any) -> Any:
    """An older version noted the whole hash of which `arguments_mark` is the beginning."""
    return before == now or (type(before) is type(now) is str and before.startswith(now))


def arguments_mark(arguments: Sequence[str]) -> str:
    """Three digits of the arguments' hash: enough to note a change, missing one in 4,096.

    An argument may be a secret and the journal is for everybody's eyes. Whoever tries all guesses
    against a whole hash, with a salt beside it or not, learns which one is right; this many digits
    leave every 4,096th guess standing.
    """
    return hashlib.sha256("\0".join(arguments).encode(errors="replace")).hexdigest()[:3]


# --- of a trial


def seconds(trial: FrozenTrial) -> float:
    """What it took, as its worker says."""
    return TrialAttributes.from_json(trial.user_attrs).duration_s or 0.0


def refittable(trial: FrozenTrial) -> bool:
    """Has it what a table's best trial must have?"""
    return FoldScores.from_json(trial.user_attrs).refittable


def retries(system_attributes: Mapping[str, Any]) -> list[int]:
    """The failed trials that this one repeats."""
    found = system_attributes.get(RETRY_HISTORY)
    return [n for n in found if whole(n) is not None] if isinstance(found, list) else []


def repeated(system_attributes: Mapping[str, Any]) -> int | None:
    """The trial that this one repeats: it was interrupted, or its worker died."""
    return whole(system_attributes.get(COPY_OF))


def queued_params(system_attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a trial was queued with, before it begins."""
    return table(system_attributes.get(FIXED_PARAMS))


def optunas_own(system_attributes: Any) -> Any:
    """Without what Optuna's samplers and trials would stumble over, whoever wrote it."""
    if not isinstance(system_attributes, dict):
        return system_attributes
    return {key: value for key, value in system_attributes.items() if _makes_sense(key, value)}


def _makes_sense(key: str, value: Any) -> bool:
    if key == CONSTRAINTS:
        return value is None or (isinstance(value, list) and all(map(_is_real, value)))
    if key.startswith(CONSTRAINT):
        return _is_real(value)
    return key != FIXED_PARAMS or isinstance(value, dict)


def _is_real(value: Any) -> bool:
    return type(value) in (int, float)
