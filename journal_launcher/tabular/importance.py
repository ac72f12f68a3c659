"""Permutation importance: how much worse a model predicts when one feature says nothing."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.artifacts.diagnostics import Importance
from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.metrics import Score
from journal_launcher.tabular.models import FittedModel

__all__ = ["permutation_importance"]

_REPEATS = 3
_SECONDS = 5.0
"""No further feature is scored after this time: a wide table must not hold up the model."""


def permutation_importance(
    fitted: FittedModel,
    features: Features,
    target: NDArray[np.float64],
    schema: Schema,
    error: Score,
    seed: int,
    weights: NDArray[np.float64] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Importance:
    """Score every feature on the rows given, in a random order until the time is up.

    fitted: one training; the mean of several would have time for a fraction of the features.
    """
    rng = np.random.default_rng(seed)
    rows = len(target)
    numbers = np.tile(features.numbers, (_REPEATS, 1))
    codes = np.tile(features.codes, (_REPEATS, 1))
    texts = None if features.texts is None else np.tile(features.texts[:], (_REPEATS, 1))
    targets = np.tile(target, _REPEATS)
    repeated = None if weights is None else np.tile(weights, _REPEATS)
    base = error(target, fitted.predict(features), weights)
    columns: dict[str, NDArray[Any]] = {
        **{column.name: numbers[:, place] for place, column in enumerate(schema.numbers)},
        **{column.name: codes[:, place] for place, column in enumerate(schema.categories)},
    }
    if texts is not None:
        columns |= {column.name: texts[:, place] for place, column in enumerate(schema.texts)}
    increase: dict[str, float] = {}
    deadline = clock() + _SECONDS
    for name in rng.permutation(list(columns)):
        if clock() > deadline:
            break
        column = columns[name]
        kept = column.copy()
        column[:] = np.concatenate([rng.permutation(kept[:rows]) for _ in range(_REPEATS)])
        found = fitted.predict(Features(numbers, codes, texts))
        increase[name] = error(targets, found, repeated) - base
        column[:] = kept
    names = [column.name for column in schema.columns]
    return Importance(
        rows,
        _REPEATS,
        error=base,
        increase={name: increase[name] for name in names if name in increase},
        not_scored=[name for name in names if name not in increase],
    )
