"""What a launch tells whoever watches it: the launcher emits these, views draw them.

The last one, how it ended, is what a launch returns; whoever called for it passes it on.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from journal_launcher.base.artifacts.scores import Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.verdict import Verdict

__all__ = [
    "INTERRUPTED",
    "BestTrial",
    "ComparedModel",
    "Comparison",
    "Event",
    "GpuLoad",
    "GpusMeasured",
    "LaunchEnded",
    "LaunchStarted",
    "Listener",
    "Note",
    "PhaseChanged",
    "TrialEnded",
    "TrialProgress",
    "TrialStarted",
    "WorkerEnded",
    "WorkerReady",
    "WorkerStarted",
]

INTERRUPTED = "interrupted"
"""How the reason of a failed trial begins that only a stop of its launch ended."""
DIED_WITH_LAUNCH = "its worker died with its launch"
"""How it ends where the next launch found out: nobody knows how long the trial ran."""


@dataclass(frozen=True)
class LaunchStarted:
    """The study is open: its name, where it lies and where it stands."""

    study: str
    journal: Path
    resumed: bool
    n_trials: int
    n_finished: int
    n_failed: int
    directions: tuple[str, ...]
    metric: str | None
    best_value: float | None
    best_number: int | None = None
    n_pruned: int = 0


@dataclass(frozen=True)
class Note:
    """One line for the user. `level` is "info" (only details), "note" or "warning"."""

    text: str
    level: str = "note"


@dataclass(frozen=True)
class PhaseChanged:
    """`phase` is one of preparing, running, stopping, confirming, refitting, publishing."""

    phase: str


@dataclass(frozen=True)
class WorkerStarted:
    worker: int
    device: str
    log: Path


@dataclass(frozen=True)
class WorkerReady:
    worker: int


@dataclass(frozen=True)
class WorkerEnded:
    """A worker left; `problem` says why if it should not have."""

    worker: int
    problem: str | None = None


@dataclass(frozen=True)
class TrialStarted:
    """`repeats`: the trial in whose place this one was queued, if any."""

    worker: int
    number: int
    repeats: int | None = None


@dataclass(frozen=True)
class TrialProgress:
    """Step `step` of `total` (None: unknown) of a trial; `unit` is "epoch", "fold" or "step".

    round: of the step that follows, so many of `rounds` are done, where that is known.
    """

    worker: int
    number: int
    unit: str
    step: int
    total: int | None
    value: float | None
    round: int | None = None
    rounds: int | None = None


@dataclass(frozen=True)
class TrialEnded:
    """`state` is COMPLETE, PRUNED or FAIL; the counts are the study's after this trial.

    `params` and `attributes` are the trial's, as the journal has them: own user attributes and ours
    (`jl_…`). `queued_as`: the trial that repeats it, if it was queued again.
    """

    worker: int
    number: int
    state: str
    values: tuple[float, ...] | None
    reason: str | None
    seconds: float
    n_finished: int
    n_failed: int
    best_value: float | None
    best_number: int | None
    params: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    queued_as: int | None = None


@dataclass(frozen=True)
class GpuLoad:
    """What a GPU is at. used, total: bytes of its memory, of all processes; utilization: the share
    of the time in which it computed, None where NVML does not say (MIG). workers, speedup: where
    the launch finds out how many it gets, those it has and how many times as fast as one they were
    when that was last measured.
    """

    device: str
    uuid: str
    used: int
    total: int
    utilization: float | None
    workers: int | None = None
    speedup: float | None = None


@dataclass(frozen=True)
class GpusMeasured:
    """Once a second at most, and never on a CPU."""

    gpus: tuple[GpuLoad, ...]


@dataclass(frozen=True)
class BestTrial:
    """The trial that won; of several objectives, the first of the Pareto-optimal ones.

    n_pareto: how many those are; None for one objective. confirmable: its kind of job can score
    trials on fresh folds; `confirmed_score` is None where this one was not.
    """

    number: int
    values: tuple[float, ...]
    params: Mapping[str, Any]
    n_pareto: int | None = None
    confirmable: bool = False
    confirmed_score: float | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"number": self.number}
        found |= {"value": self.values[0]} if self.n_pareto is None else {"values": [*self.values]}
        found["params"] = dict(self.params)
        if self.n_pareto is not None:
            found["n_pareto"] = self.n_pareto
        if self.confirmable:
            found["confirmed_score"] = self.confirmed_score
        return found


@dataclass(frozen=True)
class LaunchEnded:
    """How it ended: what `--json` prints and the summary draws.

    `sidecar` is the published model's, if there is one; `baselines` holds the scores of the dummy
    and the linear model on the same folds; `health` is the verdict on the published model.
    `overwrite`: the same command would start anew. `busy`: how much of the time for trials each
    worker spent with one; None if none ran. `gpus`: each with the most memory in use and its mean
    utilisation. `n_before`: of `n_finished`, those that had finished
    before this launch; `n_pruned`: those that are PRUNED; `n_waiting`: queued ones. `folds`: a hash
    of which rows are where.
    """

    study: str
    exit_reason: str
    exit_code: int
    n_trials: int
    journal: Path
    n_finished: int = 0
    n_failed: int = 0
    directions: tuple[str, ...] = ()
    metric: str | None = None
    best_trial: BestTrial | None = None
    model_path: Path | None = None
    seconds: float = 0.0
    n_interrupted: int = 0  # by this launch's stop; queued again, not among n_failed
    message: str | None = None
    sidecar: Sidecar | None = None
    baselines: Baselines | None = None
    health: Verdict | None = None
    failures: dict[str, int] = field(default_factory=dict)
    overwrite: bool = False
    trial_seconds: float = 0.0
    busy: tuple[float, ...] | None = None
    n_before: int = 0
    n_pruned: int = 0
    n_waiting: int = 0
    folds: str | None = None
    gpus: tuple[GpuLoad, ...] = ()


@dataclass(frozen=True)
class ComparedModel:
    """One model type of a comparison.

    score: the mean of `fold_scores`, on fresh folds if `Comparison.confirmed`; None if the type
    failed or was skipped, and `message` says why. seconds: what its trials took, summed over the
    workers.
    """

    model_type: str
    study: str
    score: float | None = None
    fold_scores: list[float] = field(default_factory=list)
    holdout: float | None = None
    holdout_interval: list[float | None] | None = None
    seconds: float = 0.0
    n_finished: int = 0
    n_failed: int = 0
    rank: int | None = None
    message: str | None = None
    skipped: bool = False


@dataclass(frozen=True)
class Comparison:
    """Model types on one table, best score first.

    p_value: corrected t-test of the first against the second; None if there is no second.
    winner: the model type that is published, which is not the first one if another is simpler and
    within one standard error; `reason` says it. model: the published sidecar and path.
    """

    name: str
    metric: str
    direction: str
    confirmed: bool
    models: tuple[ComparedModel, ...]
    baselines: Baselines
    winner: str | None
    p_value: float | None
    reason: str
    exit_code: int
    exit_reason: str
    seconds: float
    folder: Path
    overwrite: bool = False
    model_path: Path | None = None
    sidecar: Sidecar | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but paths and sidecar."""
        return asdict(self) | {"baselines": self.baselines.to_json()}

    @property
    def failed(self) -> tuple[ComparedModel, ...]:
        """The types that should have a score and have none."""
        return tuple(m for m in self.models if m.score is None and not m.skipped)


Event = (
    LaunchStarted
    | Note
    | PhaseChanged
    | WorkerStarted
    | WorkerReady
    | WorkerEnded
    | TrialStarted
    | TrialProgress
    | TrialEnded
    | GpusMeasured
    | LaunchEnded
)
Listener = Callable[[Event], None]
