"""Categorical choices as a journal keeps them, in JSON: (32,) and [32] are one choice there.

Optuna compares what an objective asks for with what it reads back: of a trial that is queued again,
of fixed parameters, of the search space that a sampler infers from earlier trials. Whatever changes
its type on the way through JSON would count as another search space.
"""

import copy
import json
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from journal_launcher.base.plain_json import as_json
from journal_launcher.study.optuna_private import HookedTrial

__all__ = ["JournalTrial", "as_kept"]


class _KeptChoices(tuple[Any, ...]):
    """Choices that find a value by its JSON: (32,) is [32], and True is not 1."""

    @cached_property
    def _positions(self) -> dict[str | None, int]:
        return {_text(choice): at for at, choice in reversed(list(enumerate(self)))}

    def index(self, value: Any, *bounds: Any) -> int:
        text = _text(value)
        if text in self._positions:
            return self._positions[text]
        return super().index(value, *bounds)


def _text(value: Any) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None


def as_kept(distribution: BaseDistribution) -> BaseDistribution:
    """`distribution` as it is read back from a journal; itself if JSON cannot express it."""
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    text = _text(distribution.choices)
    if text is None:
        return distribution
    kept = copy.copy(distribution)  # a new one would warn once more
    kept.choices = _KeptChoices(json.loads(text))
    return kept


class JournalTrial(HookedTrial):
    """A trial that suggests the objective's own choices, however they were kept, and keeps what
    NumPy and torch call a number."""

    def __init__(self, study: optuna.Study, trial_id: int) -> None:
        super().__init__(study, trial_id)
        self._own: dict[str, Any] = {}

    def draw(self, name: str, distribution: BaseDistribution) -> Any:
        kept = as_kept(distribution)
        value = super().draw(name, kept)
        if kept is not distribution and isinstance(distribution, CategoricalDistribution):
            value = distribution.choices[int(kept.to_internal_repr(value))]
            self._own[name] = value
        return value

    def set_user_attr(self, key: str, value: Any) -> None:
        """As Optuna's.

        Raises:
            TypeError: names the trial, the attribute, and what JSON has nothing for in its value.
        """
        super().set_user_attr(key, as_json(value, f"trial {self.number}, attribute {key!r}"))

    @property
    def params(self) -> dict[str, Any]:
        return {**super().params, **copy.deepcopy(self._own)}


JournalTrial.__name__ = "Trial"  # as an error names it to whoever wrote the objective
