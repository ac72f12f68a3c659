"""The trials of a study as a table, as CSV and as JSON."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes, without_ours
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.events import DIED_WITH_LAUNCH
from journal_launcher.base.files import finite
from journal_launcher.base.paths import StudyPaths
from journal_launcher.study.attributes import queued_params
from journal_launcher.study.lease import holder_of
from journal_launcher.study.reading import open_study
from journal_launcher.study.study import StudyHandle
from journal_launcher.study.tally import is_feasible, ranked
from journal_launcher.views.aligned_columns import Column, fitted, lines, records
from journal_launcher.views.figures import duration, number, parameter
from journal_launcher.views.status import state_of

__all__ = ["Row", "TrialList", "table_lines"]

_SCHEMA_VERSION = 1
_CELL, _REASON = 24, 24  # characters that a parameter and a reason have at least in a terminal
_NAMED = 5  # columns left out that are named


@dataclass(frozen=True)
class Row:
    """What is listed of a trial.

    values: one for each of `n_values` objectives. last_report: of a pruned trial, which has no
    value, the last that it reported. seconds: what it took. metrics: every one, of a table, each
    the mean over the folds. reason: why it failed, or cannot be the best. repeats: the trial in
    whose place it was queued.
    """

    number: int
    state: str
    n_values: int
    values: Sequence[float]
    last_report: float | None
    params: Mapping[str, Any]
    device: str | None
    seconds: float | None
    fold_scores: Sequence[float]
    metrics: Mapping[str, float | None]
    reason: str | None
    repeats: int | None

    @classmethod
    def of(cls, trial: FrozenTrial, n_values: int, *, launched: bool) -> "Row":
        """launched: does a launch hold the study?"""
        said = TrialAttributes.from_json(trial.user_attrs)
        lost = (said.fail_reason or "").endswith(DIED_WITH_LAUNCH)  # nobody knows when
        seconds = None if lost else _seconds(trial)
        seconds = seconds if said.duration_s is None else said.duration_s
        values = trial.values or ()
        last_report = None
        if trial.state == TrialState.PRUNED:  # Optuna keeps it as if it were the value
            last_report = _at(values, 0)
            values = ()
        reason = None
        if trial.state == TrialState.FAIL:
            reason = said.fail_reason
        elif trial.state == TrialState.COMPLETE and len(values) != n_values:
            reason = f"another writer gave it {len(values)} values instead of {n_values}"
        elif trial.state == TrialState.COMPLETE and not is_feasible(trial):
            reason = "does not meet a constraint"
        return cls(
            trial.number,
            state_of(trial, launched=launched),
            n_values,
            values,
            last_report,
            trial.params or queued_params(trial.system_attrs),
            said.placed.device,
            seconds,
            said.scored.fold_scores or (),
            said.scored.metrics or {},
            reason,
            said.repeats,
        )

    def to_json(self) -> dict[str, Any]:
        """Its keys are API. What is not finite is text, as in parameters."""
        values = [finite({"": value})[""] for value in self.values]
        return {
            "number": self.number,
            "state": self.state,
            **(
                {"value": values[0] if values else None}
                if self.n_values == 1
                else {"values": values or None}
            ),
            "last_report": finite({"": self.last_report})[""],
            "params": finite(self.params),
            "device": self.device,
            "duration_s": self.seconds,
            "fold_scores": list(self.fold_scores) or None,
            "metrics": self.metrics or None,
            "reason": self.reason,
            "repeats": self.repeats,
        }


def _seconds(trial: FrozenTrial) -> float | None:
    """Of a trial that we did not run, if its times make sense."""
    begun = trial.datetime_start
    ended = trial.datetime_complete
    if begun is None or ended is None or (begun.tzinfo is None) != (ended.tzinfo is None):
        return None
    return max(0.0, (ended - begun).total_seconds())


class TrialList:
    """The trials of a study at this moment.

    best_first: those that can be the best by value, of several objectives by the first, and the
    others by number after them; else all by number.
    """

    def __init__(self, paths: StudyPaths, *, best_first: bool = False) -> None:
        launched = holder_of(paths.lease) is not None
        self.study = open_study(paths)
        trials = list(self.study.trials())
        if best_first:
            trials = _best_first(self.study, trials)
        n_values = len(self.study.directions)
        self.rows = [Row.of(trial, n_values, launched=launched) for trial in trials]

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints. Its keys are API."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "study": self.study.name,
            "metric": self.study.metric,
            "directions": list(self.study.directions),
            "trials": [row.to_json() for row in self.rows],
        }

    def columns(self) -> dict[str, list[Any]]:
        """A list for each column, None where a trial has none: names as in Optuna's
        `trials_dataframe`, where that has them."""
        rows = self.rows
        n_values = len(self.study.directions)
        n_folds = max((len(row.fold_scores) for row in rows), default=0)
        values = ["value"] if n_values == 1 else [f"values_{n}" for n in range(n_values)]
        metrics = dict.fromkeys(name for row in rows for name in row.metrics)

        def some(name: str) -> dict[str, list[Any]]:
            """A column that only some studies need."""
            cells = [getattr(row, name) for row in rows]
            return {name: cells} if cells.count(None) < len(cells) else {}

        return {
            "number": [row.number for row in rows],
            "state": [row.state for row in rows],
            **{name: [_at(row.values, n) for row in rows] for n, name in enumerate(values)},
            **some("last_report"),
            **{f"params_{k}": [row.params.get(k) for row in rows] for k in _parameters(rows)},
            "device": [row.device for row in rows],
            "duration_s": [row.seconds for row in rows],
            **{f"fold_{n}": [_at(row.fold_scores, n) for row in rows] for n in range(n_folds)},
            **{f"metric_{name}": [row.metrics.get(name) for row in rows] for name in metrics},
            **some("repeats"),
            "reason": [row.reason for row in rows],
        }

    def attributes(self) -> dict[str, list[Any]]:
        """Likewise of what the user's code set, which CSV and JSON leave out."""
        trials = self.study.trials()
        own = [without_ours(trials[row.number].user_attrs) for row in self.rows]
        names = dict.fromkeys(name for attributes in own for name in attributes)
        return {f"user_attrs_{k}": [attributes.get(k) for attributes in own] for k in names}

    def to_csv(self) -> str:
        """A line for each trial."""
        columns = self.columns()
        for name in _parameters(self.rows):  # a parameter may be None, which is not none
            cells = [str(row.params[name]) if name in row.params else "" for row in self.rows]
            columns[f"params_{name}"] = cells
        written = io.StringIO()
        table = csv.writer(written, lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
        return written.getvalue()

    def lines(self, width: int | None) -> tuple[Iterator[str], str | None]:
        """As `table_lines`."""
        return table_lines(self.study, self.rows, width)


def _best_first(study: StudyHandle, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(study.directions) == 1:
        first = ranked(complete, study.directions)
    else:
        sign = 1 if study.directions[0] == "minimize" else -1
        first = sorted(
            (t for t in complete if t.values and math.isfinite(t.values[0]) and is_feasible(t)),
            key=lambda t: sign * t.values[0],
        )
    numbers = {trial.number for trial in first}
    return [*first, *(trial for trial in trials if trial.number not in numbers)]


def table_lines(
    study: StudyHandle, rows: Sequence[Row], width: int | None
) -> tuple[Iterator[str], str | None]:
    """(lines, a note): all columns, or those that fit into a terminal of `width`; the note names
    the others."""
    if not rows:
        return iter(()), "no trial yet"
    names = [study.metric or "value"]
    if len(study.directions) > 1:
        names = [f"value {n}" for n in range(len(study.directions))]
    first = [
        Column.of("trial", [str(row.number) for row in rows], right=True),
        Column.of("state", [row.state for row in rows]),
    ]
    for place, name in enumerate(names):
        cells = [number(row.values[place]) if place < len(row.values) else "" for row in rows]
        first.append(Column.of(name, cells, right=True))
    params = [
        Column.of(
            name,
            [parameter(row.params[name]) if name in row.params else "" for row in rows],
            right=all(type(row.params.get(name, 0)) in (int, float) for row in rows),
            least=_CELL,
        )
        for name in _parameters(rows)
    ]
    told = ["" if row.last_report is None else number(row.last_report) for row in rows]
    reported = Column.of("reported", told, right=True)
    device = Column.of("device", [row.device or "" for row in rows])
    times = ["" if row.seconds is None else duration(row.seconds) for row in rows]
    time = Column.of("time", times, right=True)
    folds = Column.of("folds", [" ".join(map(number, row.fold_scores)) for row in rows])
    repeated = ["" if row.repeats is None else str(row.repeats) for row in rows]
    repeats = Column.of("repeat of", repeated, right=True)
    reason = Column.of("reason", [row.reason or "" for row in rows], least=_REASON)
    columns = [*first, reported, *params, device, time, folds, repeats, reason]
    columns = [column for column in columns if any(column.cells)]
    if width is None:
        return lines(columns), None
    droppable = [c for c in (folds, device, reported, *reversed(params)) if any(c.cells)]
    kept, left_out = fitted(columns, droppable, width)
    if not kept:
        return records(columns), None
    return lines(kept), _told(left_out) if left_out else None


def _told(left_out: Sequence[Column]) -> str:
    titles = [column.title for column in left_out]
    if len(titles) > _NAMED + 1:
        titles = [*titles[:_NAMED], f"{len(titles) - _NAMED} more"]
    return f"too narrow for {', '.join(titles)}; `| cat` shows everything"


def _parameters(rows: Sequence[Row]) -> list[str]:
    """The names of all, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.params))


def _at(values: Sequence[float], place: int) -> float | None:
    return values[place] if place < len(values) else None
