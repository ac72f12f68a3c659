"""Any model type, for tables with text columns: it is given their words as numbers."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.arrays import are_stored, map_arrays, one_at_a_time, store
from journal_launcher.tabular.data.dataset import Column, Features, Rows, Schema
from journal_launcher.tabular.models import (
    CrossValidated,
    FittedModel,
    FoldData,
    ModelSettings,
    ModelType,
    Params,
    Predictions,
    Report,
    Rounds,
    RowWeights,
    Score,
    Suggester,
    model_type,
)
from journal_launcher.tabular.models.bag_of_words import Words, width_of
from journal_launcher.tabular.models.space import Space

__all__ = ["WithWords", "words_of"]

_logger = logging.getLogger("journal_launcher.tabular")

_VERSION = 2
"""Counts up when the same texts would give other numbers."""


class WithWords:
    """A `ModelType`: that of the settings, each text column of whose schema is some numbers."""

    def __init__(self, settings: ModelSettings) -> None:
        self._model: ModelType = model_type(settings.name)(
            replace(settings, schema=_with_numbers(settings.schema))
        )
        self._found: dict[str, list[NDArray[np.float32]]] = {}
        self.extension = self._model.extension
        self.unit = self._model.unit
        self.members = self._model.members

    @property
    def max_steps(self) -> int:
        return self._model.max_steps

    @property
    def affordable(self) -> int | None:
        return self._model.affordable

    @property
    def fold_steps(self) -> int | None:
        return self._model.fold_steps

    @property
    def on_round(self) -> Rounds:
        return self._model.on_round

    @on_round.setter
    def on_round(self, on_round: Rounds) -> None:
        self._model.on_round = on_round

    def space(self) -> Space:
        return self._model.space()

    def suggest(self, trial: Suggester) -> Params:
        return self._model.suggest(trial)

    def defaults(self) -> Params:
        return self._model.defaults()

    def precompute(self, folds: Sequence[FoldData]) -> None:
        self._model.precompute(self._with_words(folds))

    def release(self) -> None:
        self._model.release()

    def cross_validate(
        self,
        params: Params,
        folds: Sequence[FoldData],
        score: Score,
        seed: int,
        report: Report,
        fixed: int | None = None,
    ) -> CrossValidated:
        known = self._with_words(folds)
        return self._model.cross_validate(params, known, score, seed, report, fixed)

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> "FittedWithWords":
        return self.fit_mean(params, features, target, steps, [seed], weights)

    def fit_mean(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seeds: Sequence[int],
        weights: RowWeights = None,
    ) -> "FittedWithWords":
        assert features.texts is not None
        words = Words.fit(features.texts)
        numbers = _joined(features, words.transform(features.texts))
        fitted = self._model.fit_mean(params, numbers, target, steps, seeds, weights)
        return FittedWithWords(fitted, words)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedWithWords":
        return self.load_mean(path, state)

    def load_mean(self, path: Path, state: Any) -> "FittedWithWords":
        return FittedWithWords(self._model.load_mean(path, state), Words.load(_words_file(path)))

    def _with_words(self, folds: Sequence[FoldData]) -> list[FoldData]:
        """The folds, each with the words of its own training rows; found once for all trials."""
        digest = _digest(folds)
        if digest not in self._found:
            self._found[digest] = _kept(folds, digest)
        pairs = zip(folds, self._found[digest], strict=True)
        return [
            _FoldWithWords(
                fold.features, fold.target, fold.rows, fold.directory, fold.weights, words
            )
            for fold, words in pairs
        ]


@dataclass(frozen=True)
class _FoldWithWords(FoldData):
    """words: (rows of the table, numbers)."""

    words: NDArray[np.float32] | None = None

    @property
    def train(self) -> Features:
        return self._of(self.rows.train)

    @property
    def valid(self) -> Features:
        return self._of(self.rows.valid)

    def _of(self, rows: Rows) -> Features:
        assert self.words is not None
        return Features(
            np.hstack([self.features.numbers[rows], self.words[rows]]), self.features.codes[rows]
        )


class FittedWithWords:
    """A fitted model, or the mean of several, and the words that its training rows had."""

    def __init__(self, model: FittedModel, words: Words) -> None:
        self._model = model
        self._words = words
        if hasattr(model, "first"):
            self.first = FittedWithWords(model.first, words)
        if hasattr(model, "diagnose"):
            self.diagnose = self._diagnose

    def predict(self, features: Features) -> Predictions:
        return self._model.predict(self._numbers(features))

    def save(self, path: Path) -> Any:
        self._words.save(_words_file(path))
        return self._model.save(path)

    def _diagnose(self, features: Features, target: NDArray[np.float64]) -> dict[str, Any]:
        found: dict[str, Any] = self._model.diagnose(self._numbers(features), target)  # type: ignore[attr-defined]
        return found

    def _numbers(self, features: Features) -> Features:
        assert features.texts is not None
        return _joined(features, self._words.transform(features.texts))


def _words_file(path: Path) -> Path:
    """Beside the model's file; a name behind it in order, since the first one is the model's."""
    return path.with_suffix(".words.safetensors")


def _with_numbers(schema: Schema) -> Schema:
    """The schema that the model type sees: the numbers of the texts behind all others."""
    kept = tuple(column for column in schema.columns if column.kind != "text")
    more = (
        Column(f"{column.name} {place}", "number")
        for column in schema.texts
        for place in range(1, width_of(len(schema.texts)) + 1)
    )
    return replace(schema, columns=(*kept, *more))


def _joined(features: Features, words: NDArray[np.float32]) -> Features:
    return Features(np.hstack([features.numbers, words]), features.codes)


def _kept(folds: Sequence[FoldData], digest: str) -> list[NDArray[np.float32]]:
    """(rows of the table, numbers) for each fold; in files that all workers map, if they can be."""
    directory = folds[0].directory
    if directory is None:
        return [words_of(fold) for fold in folds]
    place = directory.with_name(f"{directory.name[:16]}-{digest}")
    try:
        with one_at_a_time(place.parent):
            if not are_stored(place):
                store(place, {f"fold{n}": words_of(fold) for n, fold in enumerate(folds)}, {})
        arrays = map_arrays(place)
    except OSError as error:  # a full disk, say, which a table that has been read can do without
        _logger.warning("every worker counts the words for itself: %s", error)
        return [words_of(fold) for fold in folds]
    return [arrays[f"fold{number}"] for number in range(len(folds))]


def words_of(fold: FoldData) -> NDArray[np.float32]:
    """(rows of the table, numbers) by the words of the fold's training rows."""
    texts = fold.features.texts
    assert texts is not None
    return Words.fit(texts[fold.rows.train]).transform(texts)


def _digest(folds: Sequence[FoldData]) -> str:
    digest = hashlib.sha256(f"words {_VERSION}".encode())
    for fold in folds:
        digest.update(np.append(len(fold.rows.train), fold.rows.train).astype(np.int64).tobytes())
    return digest.hexdigest()[:16]
