"""A table as a job: a trial is K folds of one model type."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.study.attributes import confirmation, number, table
from journal_launcher.study.confirmation import attribute_name
from journal_launcher.tabular.data.arrays import keep
from journal_launcher.worker.device_check import require_gpu
from journal_launcher.worker.jobs.base import Job, Prepared, Progress

if TYPE_CHECKING:
    from journal_launcher.tabular.data.table import Dataset
    from journal_launcher.tabular.models import FoldData

__all__ = ["TableJob"]


class TableJob(Job):
    """K folds of one model type on one table."""

    def __init__(self, settings: LaunchSettings, paths: StudyPaths, gpu: bool, threads: int):
        self._settings, self._paths = settings, paths
        self._gpu, self._threads = gpu, threads

    def prepare(self, seed: int) -> Prepared:
        from journal_launcher.tabular.cross_validation import (
            build_model_type,
            check_ranges,
            fold_data,
        )
        from journal_launcher.tabular.data import dataset
        from journal_launcher.tabular.data.source import TableSource

        settings = self._settings
        if settings.spaces:
            check_ranges(settings)
        source = TableSource(
            data=settings.data,
            seed=seed,
            target=settings.target,
            task=settings.task,
            metric=settings.metric,
            k_folds=settings.k_folds,
            test_size=settings.test_size,
            split=settings.split,
            group_column=settings.group_column,
            time_column=settings.time_column,
            strict_data=settings.strict_data,
        )
        table = dataset.prepare(source, StudiesFolder(self._paths.folder).cache)
        loaded = dataset.load(Path(table["directory"]))
        model = build_model_type(settings, loaded, table["metric"], self._gpu, self._threads)
        model.share(fold_data(loaded))
        own = {name: getattr(settings, name) for name in MODEL_TYPES[settings.model_type].flags}
        # Epochs decide what a trial reports, and its learning rates.
        flags = {"epochs": model.limit, **own} if model.unit == "epoch" else own
        identity = {
            "schema_version": 1,
            "kind": "table",
            "model_type": settings.model_type,
            "flags": flags,
            "data_sha256": table["data_sha256"],
            "target": table["target"],
            "task": table["task"],
            "metric": table["metric"],
            "directions": [table["direction"]],
            "split": table["split"],
            "seed": seed,
        }
        return {
            "identity": identity,
            "metric": table["metric"],
            "notes": table["notes"],
            "noted": {},
            "content": table,
        }

    def warm_up(self) -> None:
        from journal_launcher.tabular.models import model_type

        model_type(self._settings.model_type)
        if self._gpu:
            require_gpu(self._settings.model_type)

    def open(self, prepared: Prepared, seed: int, progress: Progress) -> None:
        from journal_launcher.tabular.cross_validation import TableObjective
        from journal_launcher.tabular.data.dataset import load

        self._seed, self._metric, self._progress = seed, prepared["metric"], progress
        self._table = prepared["content"]
        self._dataset = load(Path(self._table["directory"]))
        self._objective = TableObjective(
            self._settings, self._dataset, self._metric, seed, self._gpu, self._threads, progress
        )

    def defaults(self) -> dict[str, Any] | None:
        return dict(self._objective.defaults())

    def __call__(self, trial: optuna.Trial) -> float:
        keep(Path(self._table["directory"]))
        return self._objective(trial)

    def attributes(self) -> dict[str, Any]:
        return self._objective.attributes

    def baselines(self) -> dict[str, Any] | None:
        from journal_launcher.tabular.baselines import score_baselines

        found = score_baselines(self._dataset, self._metric, self._seed)
        if self._table["split"]["kind"] != "time":
            fresh = score_baselines(self._fresh, self._metric, self._seed)
            for name, scored in fresh.items():
                found[name]["confirmed_score"] = scored["score"]
                found[name]["confirmed_fold_scores"] = scored.get("fold_scores")
        return found

    @cached_property
    def _fresh(self) -> "Dataset":
        """The table with other folds, the same in every worker and for every model type."""
        from journal_launcher.tabular.data.dataset import fresh_folds

        seed = trial_seed(self._seed, 0, "fresh folds")
        folds = fresh_folds(Path(self._table["directory"]), seed)
        return replace(self._dataset, folds=folds)

    @cached_property
    def _fresh_rows(self) -> "tuple[FoldData, ...]":
        from journal_launcher.tabular.cross_validation import fold_data

        return fold_data(self._fresh)

    def confirm(self, trial: FrozenTrial) -> dict[str, Any]:
        """Score a trial's parameters on fresh folds."""
        epochs = trial.user_attrs["jl_epochs"]
        return self._objective.confirm(trial.number, trial.params, epochs, self._fresh_rows)

    def refit(self, study: optuna.Study, best: FrozenTrial | None, staging: Path) -> dict[str, Any]:
        from journal_launcher.tabular.refit import refit

        assert best is not None, "a table has one objective"
        confirmed = confirmation(study.user_attrs.get(attribute_name(best.number))) or {}
        return refit(
            self._settings,
            self._dataset,
            metric=self._metric,
            seed=self._seed,
            trial={
                "number": best.number,
                "value": best.value,
                "params": best.params,
                "fold_scores": best.user_attrs["jl_fold_scores"],
                "train_scores": best.user_attrs["jl_train_scores"],
                "epochs": best.user_attrs["jl_epochs"],
                "overfit_ratio": number(best.user_attrs.get("jl_overfit_ratio")),
                "errors": table(best.user_attrs.get("jl_errors")) or None,
                "curves": confirmed.get("curves") if self._settings.confirm else None,
            },
            gpu=self._gpu,
            threads=self._threads,
            staging=staging,
            progress=self._progress,
        ) | {"data": self._table["data"], "data_sha256": self._table["data_sha256"]}
