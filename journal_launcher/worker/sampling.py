"""Samplers, pruners and callbacks: ours by name, seeded so that one trial can be repeated alone, or
the user's own."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from journal_launcher.base.errors import UsageError
from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import is_reference
from journal_launcher.worker.history import BoundedTPE, History
from journal_launcher.worker.user_code import load_reference
from journal_launcher.worker.user_errors import importing

__all__ = ["Search", "make_pruner", "make_sampler"]

Callback = Callable[[optuna.Study, FrozenTrial], Any]


class Search:
    """The sampler, the pruner and the callbacks of one worker.

    Raises:
        UsageError: a reference that leads nowhere, or to something else, or to code that cannot be
            imported.
    """

    def __init__(self, settings: LaunchSettings) -> None:
        self._name = settings.sampler
        self._own = load_own_sampler(settings.sampler) if is_reference(settings.sampler) else None
        self.pruner = (
            load_own_pruner(settings.pruner)
            if is_reference(settings.pruner)
            else make_pruner(settings.pruner)
        )
        self.callbacks: tuple[Callback, ...] = tuple(map(load_callback, settings.callback))

    def sampler(self, study_seed: int, number: int, history: History | None = None) -> BaseSampler:
        """The sampler of one trial."""
        if self._own is not None:
            return self._own(trial_seed(study_seed, number, "sampler"))
        return make_sampler(self._name, study_seed, number, history)


def load_own_sampler(reference: str) -> Callable[[int], BaseSampler]:
    """From a trial's seed to the user's sampler for it.

    What takes a `seed` is called for every trial. Anything else is made once and gets a seed of its
    own, as Optuna does it with several jobs; or else all workers would draw the same parameters.
    """
    with importing(f"--sampler: {reference}"):
        found = load_reference("--sampler", reference)[1]
        if callable(found) and "seed" in inspect.signature(found).parameters:
            return lambda seed: _expect(BaseSampler, "--sampler", reference, found(seed=seed))
        sampler: BaseSampler = _expect(BaseSampler, "--sampler", reference, found)
    sampler.reseed_rng()
    return lambda seed: sampler


def load_own_pruner(reference: str) -> BasePruner:
    with importing(f"--pruner: {reference}"):
        found = load_reference("--pruner", reference)[1]
        pruner: BasePruner = _expect(BasePruner, "--pruner", reference, found)
    return pruner


def load_callback(reference: str) -> Callback:
    with importing(f"--callback: {reference}"):
        found = load_reference("--callback", reference)[1]
    if not callable(found):
        raise UsageError(
            f"--callback: expected a function (study, trial), {reference} is a "
            f"{type(found).__name__}"
        )
    callback: Callback = found
    return callback


def _expect(kind: type, option: str, reference: str, found: Any) -> Any:
    """`found`, or what it makes when it is called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made = found() if callable(found) and not isinstance(found, kind) else found
    if not isinstance(made, kind):
        name = kind.__name__
        raise UsageError(
            f"{option}: expected a {name} or a function that makes one, {reference} "
            f"{'makes' if made is not found else 'is'} a {type(made).__name__}"
        )
    return made


def make_sampler(
    name: str, study_seed: int, number: int, history: History | None = None
) -> BaseSampler:
    """A sampler for one trial, its state a function of (seed, trial number) and the journal alone.

    history: what tpe is shown of a long study; without it, all.
    qmc draws one sequence for the whole study, so all its workers share the study's seed.
    """
    seed = trial_seed(study_seed, number, "sampler")
    independent = RandomSampler(seed=trial_seed(study_seed, number, "independent"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match name:
            case "tpe":
                return TPESampler(seed=seed) if history is None else BoundedTPE(seed, history)
            case "random":
                return RandomSampler(seed=seed)
            case "gp":
                return GPSampler(seed=seed, independent_sampler=independent)
            case "qmc":
                return QMCSampler(
                    seed=study_seed,
                    scramble=True,
                    independent_sampler=independent,
                    warn_independent_sampling=False,
                )
    raise ValueError(f"unknown sampler {name!r}")


def make_pruner(name: str) -> BasePruner:
    """A pruner. They keep no state of their own; what they compare is in the journal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match name:
            case "none":
                return NopPruner()
            case "median":
                return MedianPruner(n_startup_trials=4, n_warmup_steps=0, n_min_trials=2)
            case "hyperband":
                return HyperbandPruner()
    raise ValueError(f"unknown pruner {name!r}")


optuna.logging.set_verbosity(optuna.logging.WARNING)
