"""Studies with trials of every kind, for the tests of what lists them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from journal_launcher.base.paths import StudyPaths
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.study.study import SETTINGS_ATTRIBUTE, StudyHandle

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "depth": IntDistribution(1, 9),
    "loss": CategoricalDistribution(["mae", "mse", None, float("inf")]),
}
PARAMS = {"lr": 0.123456789, "depth": 3, "loss": "mae"}


class Listed:
    """A study that tests fill."""

    def __init__(
        self, paths: StudyPaths, identity: Mapping[str, Any], settings: Mapping[str, Any] = {}
    ) -> None:
        paths.folder.mkdir(exist_ok=True)
        self.paths = paths
        storage = open_storage(paths.journal, create=True)
        self.record = StudyHandle.create(storage, paths.name, identity)
        if settings:
            self.record.set_attribute(SETTINGS_ATTRIBUTE, dict(settings))
        self._study = optuna.load_study(study_name=paths.name, storage=storage)

    def add(
        self,
        *values: float,
        state: TrialState = TrialState.COMPLETE,
        params: Mapping[str, Any] = PARAMS,
        constraints: list[float] | None = None,
        **attributes: Any,
    ) -> None:
        trial = optuna.create_trial(
            state=state,
            values=list(values) or None,
            params=dict(params),
            distributions={name: SPACE[name] for name in params},
            user_attrs=attributes,
            system_attrs={} if constraints is None else {"constraints": constraints},
        )
        if state.is_finished():
            trial.datetime_start = datetime(2026, 1, 1)
            trial.datetime_complete = trial.datetime_start + timedelta(seconds=75)
        self._study.add_trial(trial)

    def begin(self, *, ours: bool) -> None:
        owner = {OWNER_ATTRIBUTE: Owner.this_process("launch", 1).to_json()} if ours else {}
        self.record.storage.start_trial(self._study._study_id, {**owner, "jl_device": "GPU 0 X"})


def of_every_kind(paths: StudyPaths) -> Listed:
    """Trials 0 to 7, one in each state, of a study that maximises r2."""
    made = Listed(paths, {"directions": ["maximize"], "metric": "r2", "seed": 0})
    scored = {"jl_fold_scores": [0.25, 0.75], "jl_device": "GPU 0 H200", "jl_duration_s": 4.56}
    made.add(0.5, **scored)
    made.add(0.123456789, state=TrialState.PRUNED, params={"lr": 1e-05})
    made.add(state=TrialState.FAIL, jl_fail_reason="ValueError: bad\nsecond line")
    made.add(state=TrialState.FAIL, jl_fail_reason="interrupted: stopped", params={})
    made.add(0.75, constraints=[1.0])
    made.add(state=TrialState.WAITING)
    made.begin(ours=True)
    made.begin(ours=False)
    return made
