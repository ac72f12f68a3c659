"""Everything that a page says of a study, read once from its files, changing none of them."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.diagnostics import Diagnostics
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.artifacts.stored import number, numbers, table, text, whole
from journal_launcher.base.artifacts.trial_attributes import FoldScores
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.events import ComparedModel
from journal_launcher.base.files import read_json
from journal_launcher.base.paths import StudyPaths, is_study_name
from journal_launcher.base.verdict import Verdict
from journal_launcher.health.assessment import assess_health, diagnostics_of
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study import attributes
from journal_launcher.study.confirmation import confirmation_of
from journal_launcher.study.lease import holder_of
from journal_launcher.study.parameter_importance import importances
from journal_launcher.study.reading import open_study, recorded_settings
from journal_launcher.study.study import BASELINES_ATTRIBUTE, NOTED_ATTRIBUTE, StudyHandle
from journal_launcher.study.tally import is_feasible
from journal_launcher.views.best import BestTrials, study_of
from journal_launcher.views.figures import parameter
from journal_launcher.views.report.timeline import Timeline, timeline_of
from journal_launcher.views.status import published_model
from journal_launcher.views.summary import baseline_rows
from journal_launcher.views.trials import Row

__all__ = ["Known", "Objective", "Parameter", "gather"]

_REPORTED = 60  # trials whose reported values are drawn


@dataclass(frozen=True)
class Objective:
    """One value of a trial.

    importances: of each parameter for it, shares of 1, biggest first; unexplained: why there are
    none.
    """

    name: str
    maximize: bool
    importances: Mapping[str, float]
    unexplained: str | None = None

    def better(self, one: float, other: float) -> bool:
        return one > other if self.maximize else one < other


@dataclass(frozen=True)
class Parameter:
    """A parameter and where its values lie on an axis.

    labels: of its values, if it has names instead of numbers. log: its range is logarithmic.
    """

    name: str
    labels: tuple[str, ...] | None
    log: bool

    def at(self, value: Any) -> float | None:
        """None for what has no place there, such as an infinite number."""
        if self.labels is not None:
            return float(self.labels.index(parameter(value)))
        return float(value) if math.isfinite(value) and (value > 0 or not self.log) else None


@dataclass(frozen=True)
class Known:
    """A study at one moment.

    rows: all trials by number. ranked: numbers of those that can be the best of one objective, best
    first. chosen: the one that is published or would be, or the Pareto front. valid: those whose
    values count. reported: step and value that some trials reported, by trial, the best first.
    steps: epochs or rounds of the chosen one. measured: of the published model; unmeasured: why
    nothing was. compared: the model types that were, by their comparison's sidecar, and why one of
    them was chosen. record: what launch.json says of the last launch. noted: hashes of what
    may change between launches.
    """

    name: str
    paths: StudyPaths
    moment: float
    run_by: str | None
    identity: Identity
    settings: LaunchSettings | None
    objectives: tuple[Objective, ...]
    budget: int | None
    finished: int
    rows: tuple[Row, ...]
    ranked: tuple[int, ...]
    chosen: tuple[int, ...]
    steps: int | None
    valid: frozenset[int]
    parameters: Mapping[str, Parameter]
    timeline: Timeline
    reported: Mapping[int, Mapping[int, float]]
    confirmations: Mapping[int, Confirmation]
    facts: tuple[tuple[str, str], ...]
    record: Mapping[str, Any]
    noted: Mapping[str, Any]
    baselines: Baselines
    sidecar: Sidecar | None
    verdict: Verdict | None
    measured: Diagnostics | None
    unmeasured: str | None
    compared: tuple[tuple[ComparedModel, ...], str | None]

    @property
    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.rows)

    def scored(self, objective: int, state: str = "complete") -> list[Row]:
        """Trials in a state with a finite value for it; of pruned ones the last that they told."""
        rows: Iterable[Row] = self.rows
        if state == "pruned":
            told = ((row, row.last_report) for row in rows)
            rows = [replace(row, values=(last,)) for row, last in told if last is not None]
        return [
            row
            for row in rows
            if row.state == state
            and objective < len(row.values)
            and math.isfinite(row.values[objective])
        ]


def gather(home: StudyPaths) -> Known:
    """Read the study of this name; of a comparison the one that won it.

    Raises:
        UsageError: there is no such study.
        JournalDamagedError: its journal cannot be read.
    """
    paths = study_of(home)
    run_by = holder_of(paths.lease)
    study = open_study(paths)
    trials = study.trials()
    front = study.pareto_front()
    best = BestTrials(home, study=study) if front or study.best() is not None else None
    chosen = [] if best is None else [best.trial] if best.trial is not None else best.front
    n_values = len(study.directions)
    rows = [Row.of(trial, n_values, launched=run_by is not None) for trial in trials]
    ranked = study.ranked()
    moment = time.time()
    sidecar, _ = published_model(home)
    measured, unmeasured = _measured(home, sidecar)
    verdict = _verdict(home)
    settings = None
    with suppress(UsageError):
        settings = recorded_settings(study, paths.folder)
    return Known(
        name=home.name,
        paths=paths,
        moment=moment,
        run_by=run_by,
        identity=study.identity or Identity(),
        settings=settings,
        objectives=tuple(_objectives(study)),
        budget=study.budget,
        finished=study.count()[0],
        rows=tuple(rows),
        ranked=tuple(trial.number for trial in ranked),
        chosen=tuple(trial.number for trial in chosen if trial is not None),
        steps=_steps(best),
        valid=frozenset(_valid(trials, ranked, n_values)),
        parameters=_parameters(trials),
        timeline=timeline_of(
            ((trial, row.state) for trial, row in zip(trials, rows, strict=True)),
            None if run_by is None else moment,
        ),
        reported=_reported(trials, ranked),
        confirmations=_confirmations(study, ranked),
        facts=(*([] if best is None else best.facts()), *_judged(study, best, verdict)),
        record=_record(paths),
        noted=attributes.table(study.attribute(NOTED_ATTRIBUTE)),
        baselines=_baselines(study),
        sidecar=sidecar,
        verdict=verdict,
        measured=measured,
        unmeasured=unmeasured,
        compared=_compared(home, sidecar),
    )


def _objectives(study: StudyHandle) -> Iterator[Objective]:
    several = len(study.directions) > 1
    for place, direction in enumerate(study.directions):
        name = f"value {place}" if several else study.metric or "value"
        found: Mapping[str, float] = {}
        unexplained = None
        try:
            found = importances(study, place)
        except Exception as error:  # the page is not lost over what Optuna cannot take
            unexplained = f"{type(error).__name__}: {error}"
        yield Objective(name, direction == "maximize", found, unexplained)


def _steps(best: BestTrials | None) -> int | None:
    trial = None if best is None else best.trial
    return None if trial is None else FoldScores.from_json(trial.user_attrs).steps


def _valid(
    trials: Sequence[FrozenTrial], ranked: Sequence[FrozenTrial], n_values: int
) -> Iterator[int]:
    if n_values == 1:
        yield from (trial.number for trial in ranked)
        return
    for trial in trials:
        values = trial.values or ()
        if trial.state == TrialState.COMPLETE and len(values) == n_values and is_feasible(trial):
            yield trial.number


def _parameters(trials: Sequence[FrozenTrial]) -> dict[str, Parameter]:
    """By name, in the order of their first appearance."""
    ranges: dict[str, dict[int, BaseDistribution]] = {}
    values: dict[str, dict[str, Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            ranges.setdefault(name, {})[id(distribution)] = distribution
        for name, value in trial.params.items():
            values.setdefault(name, {}).setdefault(parameter(value), value)
    return {name: _parameter(name, ranges[name].values(), values[name]) for name in values}


def _parameter(name: str, ranges: Any, values: Mapping[str, Any]) -> Parameter:
    choices = [d for d in ranges if isinstance(d, CategoricalDistribution)]
    if choices or any(type(value) not in (int, float) for value in values.values()):
        offered = [parameter(choice) for distribution in choices for choice in distribution.choices]
        return Parameter(name, tuple(dict.fromkeys([*offered, *values])), False)
    return Parameter(name, None, any(getattr(d, "log", False) for d in ranges))


def _reported(
    trials: Sequence[FrozenTrial], ranked: Sequence[FrozenTrial]
) -> dict[int, Mapping[int, float]]:
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    wanted = [*ranked[:_REPORTED], *running, *pruned[-_REPORTED:]]
    return {t.number: t.intermediate_values for t in wanted if len(t.intermediate_values) > 1}


def _confirmations(study: StudyHandle, ranked: Sequence[FrozenTrial]) -> dict[int, Confirmation]:
    found = ((trial.number, confirmation_of(study, trial.number)) for trial in ranked)
    return {number: confirmed for number, confirmed in found if confirmed is not None}


def _baselines(study: StudyHandle) -> Baselines:
    return attributes.baselines(study.attribute(BASELINES_ATTRIBUTE)) or Baselines()


def _judged(
    study: StudyHandle, best: BestTrials | None, verdict: Verdict | None
) -> Iterator[tuple[str, str]]:
    """What was to be beaten, and whether it was, unless the verdict says so."""
    trial = None if best is None else best.trial
    found = None if trial is None else confirmation_of(study, trial.number)
    ours = None if trial is None else trial.value if found is None else found.score
    name = None if study.identity is None else study.identity.model_type
    direction = study.directions[0]
    fresh = found is not None
    ours = None if verdict is not None and verdict.names_baselines else ours
    yield from baseline_rows(_baselines(study), ours, name, direction=direction, fresh=fresh)


def _record(paths: StudyPaths) -> dict[str, Any]:
    """Empty where nothing is, or something else."""
    with suppress(ValueError, OSError):
        return read_json(paths.launch_record, 1)
    return {}


def _verdict(home: StudyPaths) -> Verdict | None:
    with suppress(UsageError):
        return assess_health(home)
    return None


def _measured(home: StudyPaths, sidecar: Sidecar | None) -> tuple[Diagnostics | None, str | None]:
    if sidecar is None:
        return None, "no model is published yet"
    try:
        return diagnostics_of(home, sidecar), None
    except (ValueError, OSError) as problem:
        return None, str(problem)


def _compared(
    home: StudyPaths, sidecar: Sidecar | None
) -> tuple[tuple[ComparedModel, ...], str | None]:
    """Of the comparison that the study won, or was part of."""
    name = None if sidecar is None else sidecar.provenance.part_of
    if name is not None and name != home.name and is_study_name(name):
        sidecar, _ = published_model(StudyPaths(home.folder, name))
    if sidecar is None:
        return (), None
    models = table(sidecar.comparison).get("models")
    found = (_model(table(model)) for model in models) if isinstance(models, list) else ()
    return tuple(found), sidecar.won[1]


def _model(said: Mapping[str, Any]) -> ComparedModel:
    low_high = said.get("holdout_interval")
    return ComparedModel(
        text(said.get("model_type")) or "",
        text(said.get("study")) or "",
        score=number(said.get("score")),
        fold_scores=numbers(said.get("fold_scores")) or [],
        holdout=number(said.get("holdout")),
        holdout_interval=None if numbers(low_high) is None else low_high,
        seconds=number(said.get("seconds")) or 0.0,
        n_finished=whole(said.get("n_finished")) or 0,
        n_failed=whole(said.get("n_failed")) or 0,
        rank=whole(said.get("rank")),
        message=text(said.get("message")),
        skipped=said.get("skipped") is True,
    )
