"""The mean of several trainings: what is published of a model type whose trainings are by chance.

Each is of the same rows and parameters, from a seed of its own. The mean predicts better than most
of them, and no trial needs to know.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import FittedModel, Predictions

__all__ = ["Averaged"]


class Averaged:
    """A `FittedModel` that predicts the mean of others; of a classification, of probabilities."""

    def __init__(self, members: Sequence[FittedModel]) -> None:
        self._members = members
        self.first = members[0]

    def predict(self, features: Features) -> Predictions:
        found: Predictions = np.mean([member.predict(features) for member in self._members], axis=0)
        return found

    def save(self, path: Path) -> list[Any]:
        """Write a file for each member and return the state of each."""
        files = _files(path, len(self._members))
        return [member.save(file) for member, file in zip(self._members, files, strict=True)]

    @classmethod
    def load(
        cls, load: Callable[[Path, dict[str, Any]], FittedModel], path: Path, states: Sequence[Any]
    ) -> "Averaged":
        """Read back what was saved. load: of one member, from its file and its state."""
        files = _files(path, len(states))
        return cls([load(file, state) for file, state in zip(files, states, strict=True)])


def _files(path: Path, members: int) -> list[Path]:
    """The first is the model's own; the others' names are behind it in order."""
    more = (path.with_suffix(f".variant{n}{path.suffix}") for n in range(2, members + 1))
    return [path, *more]
