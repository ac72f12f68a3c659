"""Text of several words as numbers that any model type learns from.

Counts of words, weighed by how rare a word is, in a few directions: latent semantic analysis. What
is fitted is fitted anew for each fold, from its training rows and from nothing else.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.extmath import randomized_svd

from journal_launcher.tabular.data.arrays import PackedTexts
from journal_launcher.tabular.data.dataset import Texts

__all__ = ["Words", "width_of"]

_WIDTH, _ALL_WIDTHS = 32, 128
"""Numbers that a text column becomes, and all of them together; docs/tables.md: what 100 score."""
_MOST_WORDS = 10_000
_MOST_ROWS = 50_000
"""Training rows whose words are counted, evenly spaced: more take memory and say nothing new."""
_LEAST_ROWS = 2
"""A word of fewer training rows says nothing of others."""
_LEAST_LENGTH = 1e-4
"""A shorter direction is rounding: no training text differs along it, but a new one may, by far."""
_AT_ONCE = 10_000  # rows


def width_of(n_columns: int) -> int:
    """Numbers for each of so many text columns."""
    return max(1, min(_WIDTH, _ALL_WIDTHS // max(1, n_columns)))


@dataclass(frozen=True)
class _Column:
    """One column. words: sorted. weights: (words,) of each. directions: (words, width)."""

    words: list[str]
    weights: NDArray[np.float32]
    directions: NDArray[np.float32]

    @classmethod
    def fit(cls, texts: NDArray[Any], width: int) -> "_Column":
        counter = _counter(min_df=min(_LEAST_ROWS, len(texts)), max_features=_MOST_WORDS)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # of no words at all, or of none that stand in two rows
            nothing = np.zeros((0, width), dtype=np.float32)
            return cls([], np.zeros(0, dtype=np.float32), nothing)
        words = counter.get_feature_names_out().tolist()
        rows_with = np.bincount(counts.indices, minlength=len(words))
        weights = (np.log((1 + len(texts)) / (1 + rows_with)) + 1).astype(np.float32)
        directions = np.zeros((len(words), width), dtype=np.float32)
        known = min(width, len(words) - 1, len(texts) - 1)
        if known > 0:
            matrix = _weighed(counts, weights)
            _, lengths, found = randomized_svd(matrix, known, n_iter=5, random_state=0)
            real = np.flatnonzero(lengths > _LEAST_LENGTH * lengths[0])
            directions[:, real] = found[real].T
        return cls(words, weights, directions)

    def transform(self, texts: NDArray[Any]) -> NDArray[np.float32]:
        """(rows, width)"""
        if not self.words:
            return np.zeros((len(texts), self.directions.shape[1]), dtype=np.float32)
        counts = _counter(vocabulary=self.words).transform(texts)
        return np.asarray(_weighed(counts, self.weights) @ self.directions, dtype=np.float32)


@dataclass(frozen=True)
class Words:
    """What was fitted on the text columns of some rows."""

    columns: tuple[_Column, ...]

    @classmethod
    def fit(cls, texts: Texts | PackedTexts) -> "Words":
        """texts: (rows, text columns), at least one row."""
        few = min(len(texts), _MOST_ROWS)
        cells = texts[np.linspace(0, len(texts) - 1, few).round().astype(np.int64)]
        width = width_of(cells.shape[1])
        return cls(tuple(_Column.fit(column, width) for column in cells.T))

    def transform(self, texts: Texts | PackedTexts) -> NDArray[np.float32]:
        """(rows, text columns * width), of zeros where no known word is."""
        parts = [
            self._transform(texts[start : start + _AT_ONCE])
            for start in range(0, len(texts), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else self._transform(texts[:])

    def _transform(self, texts: Texts) -> NDArray[np.float32]:
        columns = zip(self.columns, texts.T, strict=True)
        return np.hstack([column.transform(cells) for column, cells in columns])

    def save(self, path: Path) -> None:
        arrays: dict[str, NDArray[Any]] = {}
        for place, column in enumerate(self.columns):
            words = json.dumps(column.words).encode()
            arrays[f"{place}.words"] = np.frombuffer(words, dtype=np.uint8)
            arrays[f"{place}.weights"] = column.weights
            arrays[f"{place}.directions"] = column.directions
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> "Words":
        arrays = load_file(path)
        columns = []
        for place in range(len(arrays) // 3):
            words = json.loads(arrays[f"{place}.words"].tobytes())
            found = (arrays[f"{place}.weights"], arrays[f"{place}.directions"])
            columns.append(_Column(words, *found))
        return cls(tuple(columns))


def _counter(**given: Any) -> CountVectorizer:
    return CountVectorizer(strip_accents="unicode", dtype=np.float32, **given)


def _weighed(counts: Any, weights: NDArray[np.float32]) -> Any:
    """Each row of length 1, however long its text; a word that repeats counts little more."""
    matrix = counts.copy()
    matrix.data = (1 + np.log(matrix.data)) * weights[matrix.indices]
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    matrix.data /= np.repeat(lengths, np.diff(matrix.indptr)).astype(np.float32)
    return matrix
