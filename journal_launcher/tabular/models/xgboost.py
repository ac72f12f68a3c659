"""XGBoost: boosted trees with native categories and missing values, on the CPU or one GPU."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from journal_launcher.base.errors import DeviceError
from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.models import Params, Predictions, Rounds, RowWeights
from journal_launcher.tabular.models.boosting import Boosting
from journal_launcher.tabular.models.fold_by_fold import from_margins
from journal_launcher.tabular.models.single_precision import less, middles, target_middle
from journal_launcher.tabular.models.space import Space, between

__all__ = ["XGBoost", "require_cuda"]

_QUIET = {"verbosity": 0}
_LARGEST = float(np.finfo(np.float32).max)


class XGBoost(Boosting):
    """Sketches the quantiles of each fold's training rows."""

    extension = "ubj"
    max_steps = 1000

    def space(self) -> Space:
        return {
            "max_depth": between(3, 10, default=6, least=1, most=16),
            "learning_rate": between(0.03, 0.3, default=0.05, log=True, least=1e-6, most=1),
            "min_child_weight": between(1.0, 30.0, default=3.0, log=True, least=0),
            "reg_lambda": between(1e-2, 100.0, default=1.0, log=True, least=0),
            "subsample": between(0.6, 1.0, default=0.8, least=0.01, most=1),
            "colsample_bynode": between(0.3, 1.0, default=0.7, least=0.01, most=1),
        }

    def seconds_per_tree_and_column(self, limited: bool) -> float:
        rows = self.settings.n_rows  # a few have no leaves to fill
        return 4e-8 * min(rows, 5000) + 2e-9 * rows

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedXGBoost":
        levels = [np.unique(codes[codes >= 0]) for codes in features.codes.T]
        regression = self.settings.schema.task == "regression"
        middle = target_middle(target, rounded_sums=True) if regression else 0.0
        inputs = _Inputs(levels, middles(features.numbers))
        rows = inputs.matrix(features, target - middle, weights)
        given = {**params, **self.fixed(), "seed": seed}
        booster = xgboost.train(given, rows, steps, callbacks=[_Telling(self.on_round, steps)])
        return self._fitted(booster, inputs, middle)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedXGBoost":
        booster = xgboost.Booster(_QUIET, model_file=str(path))
        levels = [np.array(known, np.int32) for known in state["levels"]]
        taken = {int(column): middle for column, middle in state.get("middles", {}).items()}
        return self._fitted(booster, _Inputs(levels, taken), state.get("target_middle", 0.0))

    def fixed(self) -> dict[str, Any]:
        """What is not tuned; the same on CPU and GPU but for the device."""
        schema = self.settings.schema
        settings = self.settings
        device = "cuda:0" if settings.gpu else "cpu"
        fixed = {**_QUIET, "tree_method": "hist", "device": device, "nthread": settings.threads}
        if schema.task == "regression":
            return {**fixed, "objective": "reg:squarederror"}
        if len(schema.classes) == 2:
            return {**fixed, "objective": "binary:logistic"}
        return {**fixed, "objective": "multi:softprob", "num_class": len(schema.classes)}

    def _fitted(
        self, booster: xgboost.Booster, inputs: "_Inputs", middle: float
    ) -> "FittedXGBoost":
        booster.set_param({"device": "cpu", "nthread": self.settings.threads})
        return FittedXGBoost(booster, inputs, middle, self.settings.schema)


class _Telling(xgboost.callback.TrainingCallback):
    def __init__(self, on_round: Rounds, steps: int) -> None:
        self._on_round = on_round
        self._steps = steps

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._on_round(epoch + 1, self._steps)
        return False


class FittedXGBoost:
    """Trained trees; they predict on the CPU wherever they were trained.

    middle: what was taken off the target, which 32-bit floats could not hold.
    """

    def __init__(
        self, booster: xgboost.Booster, inputs: "_Inputs", middle: float, schema: Schema
    ) -> None:
        self._booster = booster
        self._inputs = inputs
        self._middle = middle
        self._task = schema.task

    def predict(self, features: Features) -> Predictions:
        return self.predict_at(features, 0)

    def predict_at(self, features: Features, steps: int) -> Predictions:
        return self._predictions(self._margins(self._inputs.matrix(features), 0, steps))

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        """Each stage begins with the sums of the last: all cost as much as one."""
        rows = self._inputs.matrix(features)
        for stop in range(every, self._booster.num_boosted_rounds() + 1, every):
            margins = self._margins(rows, stop - every, stop)
            rows.set_base_margin(margins)
            yield self._predictions(margins)

    def save(self, path: Path) -> dict[str, Any]:
        self._booster.save_model(str(path))
        levels = [known.tolist() for known in self._inputs.levels]
        off = {"middles": self._inputs.taken, "target_middle": self._middle}
        return {"levels": levels, **{name: value for name, value in off.items() if value}}

    def _predictions(self, margins: NDArray[np.float32]) -> Predictions:
        found = from_margins(margins, self._task)
        return found + self._middle if self._middle else found

    def _margins(self, rows: xgboost.DMatrix, start: int, stop: int) -> NDArray[np.float32]:
        found = self._booster.predict(rows, output_margin=True, iteration_range=(start, stop))
        return np.asarray(found)


def require_cuda() -> None:
    """Raise DeviceError if XGBoost cannot train on the GPU: it would train on the CPU instead."""
    rows = xgboost.DMatrix(np.zeros((2, 1)), label=np.arange(2))
    try:
        booster = xgboost.train({**_QUIET, "device": "cuda:0"}, rows, 1)
        device = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
        if device.startswith("cuda"):
            return
        built = xgboost.build_info()["USE_CUDA"]
        problem = "it finds none" if built else "it is built without CUDA"
    except xgboost.core.XGBoostError as error:
        problem = str(error).strip().partition("\n")[0]
    raise DeviceError(
        f"XGBoost cannot open the GPU: {problem}; update the NVIDIA driver, install a CUDA build "
        f"(pip install xgboost, without xgboost-cpu), or use `--gpus none` to run on the CPU"
    )


@dataclass(frozen=True)
class _Inputs:
    """How features become XGBoost's matrix, from the training rows.

    levels: for each category column, the sorted codes of these rows. XGBoost itself would send any
    other down a fixed branch; so it is missing. taken: what is taken off the number columns that
    32-bit floats could not hold.
    """

    levels: list[NDArray[np.int32]]
    taken: dict[int, float]

    def matrix(
        self,
        features: Features,
        target: NDArray[np.float64] | None = None,
        weights: RowWeights = None,
    ) -> xgboost.DMatrix:
        """Numbers, then the codes of categories. It refuses what is infinite in 32 bits."""
        numbers = np.clip(less(features.numbers, self.taken), -_LARGEST, _LARGEST)
        codes = [
            np.where(np.isin(column, known), column, np.nan)
            for column, known in zip(features.codes.T, self.levels, strict=True)
        ]
        return xgboost.DMatrix(
            np.column_stack([numbers, *codes]),
            label=target,
            weight=weights,
            feature_types=["q"] * numbers.shape[1] + ["c"] * len(codes),
            enable_categorical=True,
        )
