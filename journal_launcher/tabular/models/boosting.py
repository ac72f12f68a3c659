"""Boosting: the most rounds of a study, fewer where a fold of all of them would take minutes.

By what the table is and never by the clock, so that a replay and a refit repeat what a trial did.
"""

from abc import abstractmethod

from journal_launcher.tabular.models.fold_by_fold import FoldByFold

__all__ = ["Boosting"]

_A_FOLD = 100.0
"""Seconds of one core that a fold may take: five of them are minutes on any machine."""
_LEAST = 100
"""Rounds that are left to any table; fewer are no boosting."""


class Boosting(FoldByFold):
    """A derived class says what one round costs."""

    @abstractmethod
    def seconds_per_tree_and_column(self, limited: bool) -> float:
        """Seconds of one core that a round takes for each tree in it and each column.

        Measured with the default parameters (docs/benchmarks.md). limited: in a study that is.
        """
        ...

    @property
    def limited(self) -> bool:
        """Whether the study has fewer rounds than others of its type."""
        rounds = self.settings.rounds
        return rounds is not None and rounds < type(self).max_steps

    @property
    def affordable(self) -> int:
        if self._seconds(limited=False) * self.max_steps <= _A_FOLD:
            return self.max_steps
        rounds = int(_A_FOLD / self._seconds(limited=True)) // self.every * self.every
        return min(self.max_steps, max(_LEAST, rounds))

    def _seconds(self, *, limited: bool) -> float:
        """Of a round."""
        schema = self.settings.schema
        trees = len(schema.classes) if len(schema.classes) > 2 else 1
        return trees * len(schema.columns) * self.seconds_per_tree_and_column(limited)
