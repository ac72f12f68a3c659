"""A table as a job: a trial is K folds of one model type."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.identity import TABLE_VALUES, Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.artifacts.stored import whole
from journal_launcher.base.artifacts.trial_attributes import FoldScores
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import FLAGS, MODEL_TYPES
from journal_launcher.study.attributes import confirmation
from journal_launcher.study.confirmation import attribute_name
from journal_launcher.study.journal.storage import suggesting
from journal_launcher.study.queueing import check_given
from journal_launcher.tabular.baselines import score_baselines
from journal_launcher.tabular.cross_validation import (
    cross_validate,
    finite_metrics,
    mean_errors,
    overfit_ratio,
)
from journal_launcher.tabular.data.arrays import mark_used
from journal_launcher.tabular.data.dataset import Schema
from journal_launcher.tabular.data.prepared import fresh_folds, load, prepare
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.models import (
    ModelSettings,
    ModelType,
    Params,
    make_model,
    model_type,
)
from journal_launcher.tabular.refit import refit, rehearse
from journal_launcher.tabular.task import ScoredTrial, TableTask
from journal_launcher.worker.cuda_errors import breaks_process, is_out_of_memory, let_go
from journal_launcher.worker.device_check import require_gpu
from journal_launcher.worker.jobs.base import Job, Progress

__all__ = ["TableJob", "TableObjective"]

Found = TypeVar("Found")

REPORTS = 8
"""Parts of the epochs after which a trial reports; folds are so few that each is one.

The steps follow from the table and the model type alone: those of a study are always the same."""


class TableJob(Job):
    """K folds of one model type on one table."""

    def __init__(self, settings: LaunchSettings, paths: StudyPaths, gpu: bool, threads: int):
        self._settings = settings
        self._paths = paths
        self._gpu = gpu
        self._threads = threads

    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        settings = self._settings
        if settings.spaces:  # refused before the table is read
            make_model(self._model_settings(Schema((), "", "regression"), 0, "r2")).defaults()
        former = begun is not None and _keeps_targets_together(begun)
        texts = begun is None or "text" in (begun.reading or {}).values()
        source = TableSource.of(settings, seed, target_in_units=former, texts=texts)
        table = prepare(source, StudiesFolder(self._paths.folder).cache)
        task = self._task_of(table, seed)
        model = task.make_model()
        if settings.enqueue and begun is None:
            drawn = optuna.create_study().ask()
            model.suggest(drawn)
            check_given(settings.enqueue, drawn.distributions, settings.model_type)
        model.precompute(task.folds)
        own = {name: getattr(settings, name) for name in MODEL_TYPES[settings.model_type].flags}
        # Epochs decide what a trial reports, and its learning rates.
        flags = {"epochs": model.max_steps, **own} if model.unit == "epoch" else own
        rounds, notes = _most_rounds(model, task, begun)
        flags = flags if rounds is None else {"rounds": rounds, **flags}
        identity = Identity(
            schema_version=1,
            kind="table",
            model_type=settings.model_type,
            flags=flags,
            data_sha256=table["data_sha256"],
            target=table["target"],
            task=table["task"],
            metric=table["metric"],
            directions=[table["direction"]],
            split=table["split"],
            seed=seed,
            reading=table["reading"] or None,
            weight_column=table.get("weight_column"),
        )
        n_rows = task.settings.n_rows
        said = [table["summary"], *table["notes"], *notes, *self._of_small_table(n_rows)]
        return Preparation(
            identity,
            notes=said,
            noted={TABLE_VALUES: table["values_sha256"]},
            content={**table, "rounds": rounds},
        )

    def _of_small_table(self, n_rows: int) -> list[str]:
        """Free GPUs are always used; a line says so where a CPU is probably faster."""
        name = self._settings.model_type
        enough = MODEL_TYPES[name].gpu_rows
        if not self._gpu or self._settings.gpus != "auto" or n_rows >= enough:
            return []
        return [
            f"{n_rows:,} rows: below some {enough:,} {name} is probably faster on the CPU; "
            "try --gpus none"
        ]

    def warm_up(self) -> None:
        model_type(self._settings.model_type)
        if self._gpu:
            require_gpu(self._settings.model_type)

    def rehearse(self, prepared: Preparation, seed: int) -> None:
        """Train on few rows, write and read back: what fails here would fail after the trials."""
        rehearse(self._task_of(prepared.content, seed))

    def open(self, prepared: Preparation, seed: int, progress: Progress) -> None:
        self._table = prepared.content
        self._progress = progress
        self._task = self._task_of(self._table, seed)
        self._objective = TableObjective(self._task, self._settings.pruner != "none", progress)

    def _task_of(self, table: dict[str, Any], seed: int) -> TableTask:
        loaded = load(Path(table["directory"]))
        settings = self._model_settings(loaded.schema, len(loaded.train), table["metric"])
        return TableTask(loaded, replace(settings, rounds=table.get("rounds")), seed)

    def _model_settings(self, schema: Schema, n_rows: int, metric: str) -> ModelSettings:
        settings = self._settings
        return ModelSettings(
            schema=schema,
            n_rows=n_rows,
            metric=metric,
            flags={name: getattr(settings, name) for name in FLAGS},
            gpu=self._gpu,
            threads=self._threads,
            workers_per_gpu=settings.first_per_gpu,
            name=settings.model_type,
            ranges=(settings.spaces or {}).get(settings.model_type, {}),
        )

    def defaults(self) -> dict[str, Any] | None:
        return dict(self._objective.defaults())

    def __call__(self, trial: optuna.Trial) -> float:
        mark_used(Path(self._table["directory"]))
        return self._objective(trial)

    def attributes(self) -> dict[str, Any]:
        return self._objective.attributes

    def work(self) -> float | None:
        return self._objective.model.fold_steps

    def baselines(self) -> Baselines | None:
        found = score_baselines(self._task)
        fresh = score_baselines(self._fresh) if self._table["split"]["kind"] != "time" else {}
        for name, of in fresh.items():
            found[name] = replace(
                found[name], confirmed_score=of.score, confirmed_fold_scores=of.fold_scores
            )
        return Baselines(found)

    @cached_property
    def _fresh(self) -> TableTask:
        """The task with other folds, the same in every worker and for every model type."""
        seed = trial_seed(self._task.seed, 0, "fresh folds")
        return self._task.with_folds(fresh_folds(Path(self._table["directory"]), seed))

    def confirm(self, trial: FrozenTrial) -> Confirmation:
        steps = _scored(trial).steps
        assert steps is not None, "the parent asks of none that cannot be refitted"
        return self._objective.confirm(trial.number, trial.params, steps, self._fresh)

    def refit(self, study: optuna.Study, best: FrozenTrial | None, staging: Path) -> Sidecar:
        assert best is not None and best.value is not None, "a table has one objective"
        scored = _scored(best)
        assert scored.fold_scores is not None and scored.train_scores is not None
        assert scored.steps is not None, "the parent chooses none that cannot be refitted"
        confirmed = confirmation(study.user_attrs.get(attribute_name(best.number)))
        trial = ScoredTrial(
            number=best.number,
            value=best.value,
            params=best.params,
            fold_scores=scored.fold_scores,
            train_scores=scored.train_scores,
            steps=scored.steps,
            overfit_ratio=scored.overfit_ratio,
            errors=scored.errors,
            curves=confirmed.curves if confirmed and self._settings.confirm else None,
            metrics=scored.metrics,
        )
        if self._gpu:  # the refit has a model of its own
            self._objective.model.release()
        sidecar = refit(
            self._task,
            trial,
            staging,
            on_all_rows=self._settings.refit == "all",
            progress=partial(self._progress, "step"),
        )
        table = {name: self._table[name] for name in ("data", "data_sha256", "summary")}
        return Sidecar.from_json(sidecar | table)


def _most_rounds(
    model: ModelType, task: TableTask, begun: Identity | None
) -> tuple[int | None, list[str]]:
    """The most rounds of the study, and what is said of them. It keeps those it began with."""
    affordable, every = model.affordable, model.max_steps
    if affordable is None:
        return None, []
    rounds = affordable if begun is None else whole((begun.flags or {}).get("rounds"), 1)
    settings = task.settings
    classes = len(settings.schema.classes)
    size = f"{settings.n_rows:,} rows, {len(settings.schema.columns)} columns"
    size += f", {classes} classes" if classes > 2 else ""
    slow = f"{size}: {every} rounds of {settings.name} would take minutes a fold"
    needed = "only as many as its first fold needs"
    if rounds is None:
        fewer = f"at most {affordable}, and {needed}" if affordable < every else needed
        note = (
            f"this study began when every fold trained {every} rounds and goes on so; a trial of a "
            f"new one (--overwrite) would train {fewer}"
        )
        return None, [f"{slow}; {note}" if affordable < every else note]
    if rounds < every:
        return rounds, [f"{slow}; a trial trains at most {rounds}, and {needed}"]
    return rounds, []


class TableObjective:
    """Callable trial -> mean score of the folds; made once per worker.

    model: the model type. attributes: user attributes for the trial that ended last; the caller
    writes them (in one journal append), so this class never does.
    """

    def __init__(self, task: TableTask, prunes: bool, progress: Progress) -> None:
        self.task = task
        self.model = task.make_model()
        self.attributes: dict[str, Any] = {}
        self._prunes = prunes
        self._progress = progress
        self._said: tuple[int, int, float | None] = (0, 0, None)  # of the folds, last
        self.model.on_round = self._show_round

    def defaults(self) -> dict[str, Any]:
        """Parameters of trial 0."""
        return dict(self.model.defaults())

    def __call__(self, trial: optuna.Trial) -> float:
        """Train every fold with the parameters that `trial` suggests.

        Raises:
            optuna.TrialPruned: the pruner gave the trial up.
            ValueError: the score is not a finite number.
        """
        self.attributes = {}
        self._said = 0, len(self.task.folds), None
        with suggesting(trial):
            params = self.model.suggest(trial)
        reported: set[int] = set()

        def report(step: int, total: int, value: float) -> None:
            self._show(step, total, value)
            # A report is a journal append with an fsync: only where somebody reads it, not for each
            # short epoch, and not at the end, where pruning would save nothing and lose the score.
            due = step < total and step % max(1, total // REPORTS) == 0
            if self._prunes and due and step not in reported and np.isfinite(value):
                reported.add(step)
                trial.report(value, step)
                if trial.should_prune():
                    raise optuna.TrialPruned(f"pruned at {self.model.unit} {step} of {total}")

        seed = trial_seed(self.task.seed, trial.number)
        curve = self._with_room(lambda: cross_validate(self.task, self.model, params, seed, report))
        scored = FoldScores(
            fold_scores=curve.scores.tolist(),
            train_scores=curve.train_scores.tolist(),
            steps=int(curve.steps),
            overfit_ratio=overfit_ratio(curve),
            errors=mean_errors(curve),
            metrics=finite_metrics(curve),
        )
        self.attributes = scored.to_json()
        return float(np.mean(curve.scores))

    def confirm(self, number: int, params: Params, steps: int, fresh: TableTask) -> Confirmation:
        """Score a trial's parameters on other folds, at the trial's own number of steps.

        Raises:
            ValueError: a score is not a finite number.
        """
        self._said = 0, len(fresh.folds), None
        seed = trial_seed(self.task.seed, number, "confirm")
        curve = self._with_room(
            lambda: cross_validate(fresh, self.model, params, seed, self._show, steps)
        )
        assert curve.history is not None
        validation, train = ([_short(value) for value in scores] for scores in curve.history)
        return Confirmation(
            score=float(np.mean(curve.scores)),
            fold_scores=curve.scores.tolist(),
            train_scores=curve.train_scores.tolist(),
            overfit_ratio=overfit_ratio(curve),
            curves={"every": curve.every, "validation": validation, "train": train},
            metrics=finite_metrics(curve),
        )

    def _with_room(self, train: Callable[[], Found]) -> Found:
        """Train; where the GPU's memory does not suffice, once more with all that can be freed.

        Steps of other architectures may fill it, or for a moment another worker.
        """
        try:
            return train()
        except Exception as error:
            if not is_out_of_memory(error) or breaks_process(error):
                raise
            self.model.release()
            let_go(error)
        print("the GPU's memory did not suffice; again without what was kept", file=sys.stderr)
        return train()

    def _show(self, step: int, total: int, value: float) -> None:
        self._said = step, total, value if np.isfinite(value) else None
        self._progress(self.model.unit, *self._said)

    def _show_round(self, done: int, of: int) -> None:
        self._progress(self.model.unit, *self._said, (done, of))


def _keeps_targets_together(study: Identity) -> bool:
    """Did it begin before its split said what equal rows do?"""
    return study.split_kind in ("kfold", "stratified") and study.equal_rows is None


def _scored(trial: FrozenTrial) -> FoldScores:
    return FoldScores.from_json(trial.user_attrs)


def _short(value: float) -> float | None:
    """Six digits are enough for a curve; JSON has no NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
