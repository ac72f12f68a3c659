"""What the trials of a study can be, and what follows from it for everything around them."""

from collections.abc import Mapping
from typing import Any

from journal_launcher.base.dataclass import dataclass

__all__ = ["COMMAND", "OBJECTIVE", "TABLE", "WORKER_GRACE", "JobKind", "kind_of"]

WORKER_GRACE = 10.0  # seconds between the SIGTERM and the SIGKILL of a worker


@dataclass(frozen=True)
class JobKind:
    """One kind of job; what is not said of it, it does not have.

    name: in a study's identity and in a sidecar. has_model_type: trains one of the built-in model
    types on a table, and so has the options and the metric of those. has_baselines: a dummy and a
    simple model are scored on the same folds. has_confirmation: its best trials can be scored once
    more, on fresh folds. refits: the best parameters are trained anew for the model that is
    published; the trials of others lack what that needs. has_health: diagnostics are published with
    the model, which judge it. predicts: `predict` can load the model. has_folders: each trial has a
    folder of its own, which outlives interruptions. stop_grace: seconds between the SIGTERM and the
    SIGKILL of a running trial.
    """

    name: str
    has_model_type: bool = False
    has_baselines: bool = False
    has_confirmation: bool = False
    refits: bool = False
    has_health: bool = False
    predicts: bool = False
    has_folders: bool = False
    stop_grace: float = WORKER_GRACE


TABLE = JobKind(
    "table",
    has_model_type=True,
    has_baselines=True,
    has_confirmation=True,
    refits=True,
    has_health=True,
    predicts=True,
)
OBJECTIVE = JobKind("objective", has_folders=True)
COMMAND = JobKind("command", has_folders=True, stop_grace=5.0)  # its worker still has to say so


def kind_of(content: Mapping[str, Any] | None) -> JobKind:
    """The kind that an identity or a sidecar names; one that is not known here has nothing."""
    name = str((content or {}).get("kind"))
    return next((kind for kind in (TABLE, OBJECTIVE, COMMAND) if kind.name == name), JobKind(name))
