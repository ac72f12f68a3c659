"""Ridge and logistic regression from scikit-learn: the baseline, and a model type of its own."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import Params, Predictions, RowWeights, skops_alone
from journal_launcher.tabular.models.fold_by_fold import FoldByFold
from journal_launcher.tabular.models.space import Space, between
from journal_launcher.tabular.preprocessing import Encoder

__all__ = ["FittedLinear", "Linear"]

_TRUSTED: list[str] = []
"""skops' own list is enough; nothing else in a file is ever loaded."""


class Linear(FoldByFold):
    """Linear in the standardised columns. `regularization` is the penalty for each training row."""

    extension = "skops"
    max_steps = 1
    every = 1
    members = 1  # there is one solution

    def space(self) -> Space:
        return {"regularization": between(1e-6, 10.0, default=1e-3, log=True, least=1e-12)}

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedLinear":
        """`steps` and `seed` change nothing: there is one solution, and one step to it."""
        encoder = Encoder.fit(features, to_normal=False)
        penalty = params["regularization"] * len(target)
        n_classes = len(self.settings.schema.classes)
        estimator: Ridge | LogisticRegression | DummyClassifier
        if not n_classes:
            estimator = Ridge(alpha=penalty)
        elif (target == target[0]).all():
            # A fold may lack every class but one, which LogisticRegression refuses.
            estimator = DummyClassifier(strategy="prior")
        else:
            estimator = LogisticRegression(C=1.0 / penalty, max_iter=500)
        with warnings.catch_warnings():
            # Nearly there is good enough, and the score says how good.
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline = make_pipeline(StandardScaler(), estimator)
            given = {f"{pipeline.steps[-1][0]}__sample_weight": weights}
            pipeline.fit(encoder.transform(features, np.float64), target, **given)
        return FittedLinear(encoder, pipeline, n_classes)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedLinear":
        pipeline = skops_alone.load(path, _TRUSTED)
        encoder = Encoder.from_json(state["encoder"])
        return FittedLinear(encoder, pipeline, len(self.settings.schema.classes))


class FittedLinear:
    """A fitted scaler and estimator with their encoder."""

    def __init__(self, encoder: Encoder, pipeline: Pipeline, n_classes: int) -> None:
        self._encoder = encoder
        self._pipeline = pipeline
        self._n_classes = n_classes

    def predict(self, features: Features) -> Predictions:
        x = self._encoder.transform(features, np.float64)
        if not self._n_classes:
            return np.asarray(self._pipeline.predict(x), dtype=np.float64)
        # A class that the training rows lacked has probability 0.
        found = np.zeros((len(features), self._n_classes))
        found[:, self._pipeline.classes_.astype(np.int64)] = self._pipeline.predict_proba(x)
        return found

    def predict_at(self, features: Features, steps: int) -> Predictions:
        return self.predict(features)

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        yield self.predict(features)

    def save(self, path: Path) -> dict[str, Any]:
        skops_alone.dump(self._pipeline, path)
        return {"encoder": self._encoder.to_json()}
