"""Optuna's documented way: load the study from its journal and optimise."""

import sys

import optuna
from objective import objective
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(
    study_name="study",
    storage=JournalStorage(JournalFileBackend("study.log")),
    sampler=optuna.samplers.RandomSampler(),
)
n_jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
study.optimize(objective, n_trials=int(sys.argv[1]), n_jobs=n_jobs)
