"""Samplers and pruners by name, seeded so that one trial can be repeated alone."""

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from journal_launcher.base.seeds import trial_seed

__all__ = ["make_pruner", "make_sampler"]


def make_sampler(name: str, study_seed: int, number: int) -> BaseSampler:
    """A sampler for one trial, its state a function of (seed, trial number) and the journal alone.

    qmc draws one sequence for the whole study, so all its workers share the study's seed.
    """
    seed = trial_seed(study_seed, number, "sampler")
    independent = RandomSampler(seed=trial_seed(study_seed, number, "independent"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match name:
            case "tpe":
                return TPESampler(seed=seed)
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
