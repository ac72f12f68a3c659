"""LightGBM: boosted trees that grow leaf by leaf. On the CPU: its wheels have no CUDA in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.models import Params, Predictions, RowWeights
from journal_launcher.tabular.models.boosting import Boosting
from journal_launcher.tabular.models.fold_by_fold import from_margins
from journal_launcher.tabular.models.single_precision import target_middle
from journal_launcher.tabular.models.space import Space, between

__all__ = ["LightGBM"]


class LightGBM(Boosting):
    """Bins each fold from its training rows; an unknown category is as good as a missing one."""

    extension = "txt"
    max_steps = 1000

    def space(self) -> Space:
        return {
            "num_leaves": between(8, 64, default=31, log=True, least=2, most=131072),
            "learning_rate": between(0.03, 0.3, default=0.05, log=True, least=1e-6),
            "min_data_in_leaf": between(3, 100, default=20, log=True, least=1),
            "lambda_l2": between(1e-3, 100.0, default=1.0, log=True, least=0),
            "bagging_fraction": between(0.6, 1.0, default=0.8, least=0.01, most=1),
            "feature_fraction_bynode": between(0.3, 1.0, default=0.7, least=0.01, most=1),
        }

    def seconds_per_tree_and_column(self, limited: bool) -> float:
        rows = self.settings.n_rows  # a few have no leaves to fill
        return 3.5e-8 * min(rows, 5000) + 3e-9 * rows

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedLightGBM":
        numbers = features.numbers.shape[1]
        categories = list(range(numbers, numbers + features.codes.shape[1]))
        regression = self.settings.schema.task == "regression"
        middle = target_middle(target) if regression else 0.0
        # Quiet here too: the parameters of the training come too late for the data.
        rows = lightgbm.Dataset(
            _matrix(features),
            target - middle,
            weight=weights,
            categorical_feature=categories,
            params={**self.fixed(), "min_data_in_leaf": params.get("min_data_in_leaf", 20)},
        )
        given = {**params, **self.fixed(), "seed": seed}

        def tell(state: lightgbm.callback.CallbackEnv) -> None:
            self.on_round(state.iteration + 1, steps)

        booster = lightgbm.train(given, rows, steps, callbacks=[tell])
        return self._fitted(booster, steps, middle)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedLightGBM":
        booster = lightgbm.Booster(model_file=path)
        return self._fitted(booster, state["rounds"], state.get("target_middle", 0.0))

    def _fitted(self, booster: lightgbm.Booster, rounds: int, middle: float) -> "FittedLightGBM":
        settings = self.settings
        return FittedLightGBM(booster, rounds, middle, settings.schema, settings.threads)

    def fixed(self) -> dict[str, Any]:
        """What is not tuned."""
        schema = self.settings.schema
        fixed = {
            "bagging_freq": 1,
            # Its own 100 rows for a group of levels are more than many tables have.
            "min_data_per_group": 10,
            # Otherwise it measures which layout is faster, and its sums follow the choice.
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.settings.threads,
            "verbosity": -1,
        }
        if schema.task == "regression":
            return {**fixed, "objective": "regression"}
        if len(schema.classes) == 2:
            return {**fixed, "objective": "binary"}
        return {**fixed, "objective": "multiclass", "num_class": len(schema.classes)}


class FittedLightGBM:
    """Trained trees. rounds: those asked for; where nothing was left to split there are fewer.

    middle: what was taken off the target, which it keeps in 32 bits. Its sums have 64, and it bins
    the features as they are.
    """

    def __init__(
        self, booster: lightgbm.Booster, rounds: int, middle: float, schema: Schema, threads: int
    ) -> None:
        self._booster = booster
        self._rounds = rounds
        self._middle = middle
        self._task = schema.task
        self._threads = threads

    def predict(self, features: Features) -> Predictions:
        return self.predict_at(features, self._rounds)

    def predict_at(self, features: Features, steps: int) -> Predictions:
        return self._predictions(self._margins(_matrix(features), 0, steps))

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        """Each stage adds its rounds to the sums of the last: all cost as much as one."""
        rows = _matrix(features)
        margins: NDArray[np.float64] | float = 0.0
        for start in range(0, self._rounds - every + 1, every):
            margins = margins + self._margins(rows, start, every)
            yield self._predictions(margins)

    def save(self, path: Path) -> dict[str, Any]:
        self._booster.save_model(path, num_iteration=-1)
        state = {"rounds": self._rounds}
        return {**state, "target_middle": self._middle} if self._middle else state

    def _predictions(self, margins: NDArray[np.float64]) -> Predictions:
        found = from_margins(margins, self._task)
        return found + self._middle if self._middle else found

    def _margins(self, rows: NDArray[np.float64], start: int, rounds: int) -> NDArray[np.float64]:
        found = self._booster.predict(
            rows,
            start_iteration=start,
            num_iteration=rounds,
            raw_score=True,
            num_threads=self._threads,
        )
        return np.asarray(found, dtype=np.float64)


def _matrix(features: Features) -> NDArray[np.float64]:
    """(rows, columns): numbers, then the codes of categories."""
    codes = np.where(features.codes < 0, np.nan, features.codes)
    return np.column_stack([features.numbers, codes])
