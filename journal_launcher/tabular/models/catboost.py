"""CatBoost: boosted symmetric trees with its own treatment of categories and missing values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.devices.own_gpu import own_memory
from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.models import Params, Predictions, Rounds, RowWeights
from journal_launcher.tabular.models.boosting import Boosting
from journal_launcher.tabular.models.single_precision import less, middles, target_middle
from journal_launcher.tabular.models.space import Space, between

__all__ = ["CatBoost"]

_BORDERS = 254
_OF_GPU = 0.9
"""Of a GPU's memory, for all of its workers together."""
_OF_FREE = 0.95
"""The most of what is free: CatBoost's own default."""


class CatBoost(Boosting):
    """Quantises each fold from its training rows; the same parameters work on CPU and GPU."""

    extension = "cbm"
    max_steps = 1500

    def space(self) -> Space:
        return {
            "depth": between(4, 8, default=7, least=1, most=16),
            "learning_rate": between(0.03, 0.2, default=0.1, log=True, least=1e-6, most=1),
            "l2_leaf_reg": between(1.0, 20.0, default=3.0, log=True, least=0),
            "subsample": between(0.7, 1.0, default=0.9, least=0.01, most=1),
        }

    def seconds_per_tree_and_column(self, limited: bool) -> float:
        # Every leaf tries every border, however few its rows.
        return 1e-8 * (self.settings.n_rows + 160 * self._borders(limited))

    def _borders(self, limited: bool) -> int:
        """Of each column. In a limited study some 32 rows lie between two of them, which scores no
        worse and takes, of 600 rows, an eighth of the time."""
        return min(_BORDERS, max(32, self.settings.n_rows // 32)) if limited else _BORDERS

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedCatBoost":
        given = {**params, "iterations": steps, "random_seed": seed}
        model = catboost.CatBoost({**given, **self.fixed()})
        regression = self.settings.schema.task == "regression"
        middle = target_middle(target) if regression else 0.0
        taken = middles(features.numbers)
        if _are_alike(features):
            self._fit_prior(model, features, target - middle, weights)
        else:
            self._train(model, _pool(features, taken, target - middle, weights), steps)
        if middle:
            scale, bias = model.get_scale_and_bias()
            model.set_scale_and_bias(scale, bias + middle)
        return FittedCatBoost(model, self.settings.schema, taken, self.settings.threads)

    def _train(self, model: catboost.CatBoost, pool: catboost.Pool, steps: int) -> None:
        if self.settings.gpu:  # where it takes no callbacks
            model.set_params(gpu_ram_part=self._part_of_free())
            model.fit(pool)
            return
        telling = _Telling(self.on_round, steps)
        model.fit(pool, callbacks=[telling])
        telling.check()

    def _part_of_free(self) -> float:
        """What `gpu_ram_part` must be for an equal share of the GPU's whole memory.

        It is a part of what is free as a fit begins, which is taken at once: as a constant it gave
        two workers 45 and 25 % of the memory, and the last of four 10.
        """
        share = _OF_GPU / self.settings.workers_per_gpu
        memory = own_memory()
        if memory is None:
            return share
        free, total = memory
        return min(_OF_FREE, share * total / max(1, free))

    def _fit_prior(
        self,
        model: catboost.CatBoost,
        features: Features,
        target: NDArray[np.float64],
        weights: RowWeights,
    ) -> None:
        """Let a model predict the mean, or the shares of the classes: all that rows can say which
        are alike. CatBoost refuses those, so it is given others, and what it learns has no weight.
        """
        one = np.arange(len(target))[:, None] % 2
        others = Features(
            np.zeros_like(features.numbers) + one,
            np.zeros_like(features.codes) + one.astype(np.int32),
        )
        model.fit(_pool(others, {}, target, weights))
        _, prior = model.get_scale_and_bias()  # of a regression it is the mean
        if n_classes := len(self.settings.schema.classes):
            margins = np.log(np.bincount(target.astype(np.intp), weights, minlength=n_classes))
            prior = margins[1] - margins[0] if n_classes == 2 else margins.tolist()
        model.set_scale_and_bias(0.0, prior)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedCatBoost":
        model = catboost.CatBoost()
        model.load_model(str(path))
        taken = {int(column): middle for column, middle in state.get("middles", {}).items()}
        return FittedCatBoost(model, self.settings.schema, taken, threads=-1)  # all: it is alone

    def fixed(self) -> dict[str, Any]:
        """What is not tuned; the same on CPU and GPU but for the device."""
        schema = self.settings.schema
        fixed: dict[str, Any] = {
            "boosting_type": "Plain",
            "bootstrap_type": "Bernoulli",
            "score_function": "L2",
            "border_count": self._borders(self.limited),
            # Few levels: one-hot, much faster than statistics of the target and no worse.
            "one_hot_max_size": 16,
            "allow_const_label": True,  # a fold's training rows may all have the same target
            "allow_writing_files": False,
            "verbose": False,
            "thread_count": self.settings.threads,
        }
        if self.settings.gpu:
            part = _OF_GPU / self.settings.workers_per_gpu  # see `_part_of_free`
            fixed |= {"task_type": "GPU", "devices": "0", "gpu_ram_part": part}
        if schema.task == "regression":
            return {**fixed, "loss_function": "RMSE"}
        loss = "Logloss" if len(schema.classes) == 2 else "MultiClass"
        # Named, so that a class without training rows still has its column.
        return {**fixed, "loss_function": loss, "class_names": list(range(len(schema.classes)))}


class _Telling:
    """A callback. What is raised in one CatBoost turns into an error of its own; so it waits."""

    def __init__(self, on_round: Rounds, steps: int) -> None:
        self._on_round = on_round
        self._steps = steps
        self._raised: BaseException | None = None

    def after_iteration(self, info: Any) -> bool:
        try:
            self._on_round(info.iteration, self._steps)
        except BaseException as raised:  # a signal's, say, which arrives in Python code only
            self._raised = raised
        return self._raised is None

    def check(self) -> None:
        """Raise what ended the training."""
        if self._raised is not None:
            raise self._raised


class FittedCatBoost:
    """A trained CatBoost model; predicts on the CPU wherever it was trained.

    taken: what is taken off the columns that 32-bit floats could not hold.
    """

    def __init__(
        self, model: catboost.CatBoost, schema: Schema, taken: dict[int, float], threads: int
    ) -> None:
        self._model = model
        self._taken = taken
        self._threads = threads  # by itself it would take all cores, also those of other workers
        self._kind = "RawFormulaVal" if schema.task == "regression" else "Probability"

    def predict(self, features: Features) -> Predictions:
        return self.predict_at(features, 0)

    def predict_at(self, features: Features, steps: int) -> Predictions:
        pool = _pool(features, self._taken)
        found = self._model.predict(
            pool, prediction_type=self._kind, ntree_end=steps, thread_count=self._threads
        )
        return np.asarray(found, dtype=np.float64)

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        yield from self._model.staged_predict(
            _pool(features, self._taken),
            prediction_type=self._kind,
            eval_period=every,
            thread_count=self._threads,
        )

    def save(self, path: Path) -> dict[str, Any]:
        self._model.save_model(str(path))
        state: dict[str, Any] = {"trees": self._model.tree_count_}
        return {**state, "middles": self._taken} if self._taken else state


def _are_alike(features: Features) -> bool:
    """Whether every row is the first one again."""
    numbers = features.numbers
    codes = features.codes
    gaps = np.isnan(numbers)
    same = (numbers == numbers[:1]) | (gaps & gaps[:1])
    return bool(same.all() and (codes == codes[:1]).all())


def _pool(
    features: Features,
    taken: dict[int, float],
    target: NDArray[np.float64] | None = None,
    weights: RowWeights = None,
) -> catboost.Pool:
    """A column for each number and each category code; a missing category is a code of its own."""
    columns = {str(i): column for i, column in enumerate(less(features.numbers, taken).T)}
    categories = {f"c{i}": column for i, column in enumerate(features.codes.T)}
    frame = pd.DataFrame({**columns, **categories})
    return catboost.Pool(frame, label=target, weight=weights, cat_features=list(categories))
