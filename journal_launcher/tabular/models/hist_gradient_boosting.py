"""scikit-learn's histogram gradient boosting; its threads follow OMP_NUM_THREADS."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import Params, Predictions, RowWeights, skops_alone
from journal_launcher.tabular.models.boosting import Boosting
from journal_launcher.tabular.models.space import Space, between

__all__ = ["HistGradientBoosting"]

_LEVELS = 255
"""scikit-learn takes no more levels of a category than this."""
_TRUSTED = [
    "functools.partial",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]
"""What a saved model holds beyond skops' own list; nothing else in a file is ever loaded."""

Estimator: TypeAlias = HistGradientBoostingRegressor | HistGradientBoostingClassifier


class HistGradientBoosting(Boosting):
    """Bins each fold from its training rows; missing values and categories as scikit-learn does."""

    extension = "skops"
    max_steps = 500

    def space(self) -> Space:
        return {
            "learning_rate": between(0.03, 0.3, default=0.1, log=True, least=1e-6),
            "max_leaf_nodes": between(8, 64, default=31, log=True, least=2),
            "min_samples_leaf": between(3, 100, default=20, log=True, least=1),
            "l2_regularization": between(1e-3, 100.0, default=1.0, log=True, least=0),
            "max_features": between(0.3, 1.0, default=0.7, least=0.01, most=1),
        }

    def seconds_per_tree_and_column(self, limited: bool) -> float:
        return 7e-9 * (self.settings.n_rows + 2500)

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedHistGradientBoosting":
        schema = self.settings.schema
        regression = schema.task == "regression"
        kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        levels = [_frequent(codes) for codes in features.codes.T]
        estimator = kind(
            **params,
            max_iter=steps,
            early_stopping=False,
            categorical_features=[False] * len(schema.numbers) + [True] * len(schema.categories),
            random_state=seed,
        )
        fitted = FittedHistGradientBoosting(estimator, levels, len(schema.classes))
        matrix = fitted.matrix(features)
        matrix[:, np.isnan(matrix).all(axis=0)] = 0.0  # scikit-learn cannot bin a column of gaps
        self._train(estimator, matrix, target, weights, steps)
        return fitted

    def _train(
        self,
        estimator: Estimator,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        weights: RowWeights,
        steps: int,
    ) -> None:
        """Fit, and tell the rounds: it asks a scorer after each, whose answers here stop nothing.

        Whether it asks changes no tree: no rows are set aside, and nothing random is drawn for it.
        """

        def score(estimator: Estimator, *_: Any, **__: Any) -> int:
            done = int(estimator.n_iter_)
            if done:  # it asks before the first round, too
                self.on_round(done, steps)
            return done

        asking = {"early_stopping": True, "validation_fraction": None, "scoring": score}
        plain = {name: estimator.get_params()[name] for name in (*asking, "n_iter_no_change")}
        estimator.set_params(**asking, n_iter_no_change=steps)
        estimator.fit(x, y, weights)
        # Nothing of it goes into the file.
        estimator.set_params(**plain)
        estimator.do_early_stopping_ = False
        estimator._scorer = None
        estimator.train_score_ = np.empty(0)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedHistGradientBoosting":
        estimator = skops_alone.load(path, _TRUSTED)
        levels = [np.array(kept, dtype=np.int32) for kept in state["levels"]]
        return FittedHistGradientBoosting(estimator, levels, len(self.settings.schema.classes))


class FittedHistGradientBoosting:
    """A trained estimator. levels: for each category column, the sorted codes it tells apart."""

    def __init__(
        self, estimator: Estimator, levels: list[NDArray[np.int32]], n_classes: int
    ) -> None:
        self._estimator = estimator
        self._levels = levels
        self._n_classes = n_classes

    def predict(self, features: Features) -> Predictions:
        if self._n_classes:
            return self._spread(self._estimator.predict_proba(self.matrix(features)))
        return np.asarray(self._estimator.predict(self.matrix(features)), dtype=np.float64)

    def predict_at(self, features: Features, steps: int) -> Predictions:
        return next(islice(self.staged(features, 1), steps - 1, None))

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        if self._n_classes:
            stages = self._estimator.staged_predict_proba(self.matrix(features))
            yield from map(self._spread, islice(stages, every - 1, None, every))
        else:
            stages = self._estimator.staged_predict(self.matrix(features))
            yield from islice(stages, every - 1, None, every)

    def save(self, path: Path) -> dict[str, Any]:
        skops_alone.dump(self._estimator, path)
        return {"levels": [kept.tolist() for kept in self._levels]}

    def matrix(self, features: Features) -> NDArray[np.float64]:
        """(rows, columns): numbers, then positions in `levels`; rare levels share the next one."""
        columns = []
        for kept, codes in zip(self._levels, features.codes.T, strict=True):
            position = np.searchsorted(kept, codes).astype(np.float64)
            known = np.isin(codes, kept)
            columns.append(np.where(codes < 0, np.nan, np.where(known, position, len(kept))))
        return np.column_stack([features.numbers, *columns])

    def _spread(self, probabilities: NDArray[np.float64]) -> Predictions:
        """A column for every class of the table, also those without training rows."""
        spread = np.zeros((len(probabilities), self._n_classes))
        spread[:, self._estimator.classes_.astype(np.intp)] = probabilities
        return spread


def _frequent(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The sorted codes of these rows; where there are too many, the most frequent ones."""
    present, counts = np.unique(codes[codes >= 0], return_counts=True)
    if len(present) > _LEVELS:
        order = np.argsort(-counts, kind="stable")[: _LEVELS - 1]
        present = np.sort(present[order])
    return present
