"""A stock Optuna process that writes to the same study: trials that it fails, acknowledged."""

import sys

import optuna
from objective import acknowledge
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def main(journal: str, name: str) -> None:
    study = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(journal)))
    for size in (50, 5_000, 100_000):
        trial_id = study._storage.create_new_trial(study._study_id)  # never a queued trial of ours
        trial = optuna.Trial(study, trial_id)
        trial.set_user_attr("stock", "x" * size)
        acknowledge(trial.number, "stock", size)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


if __name__ == "__main__":
    main(*sys.argv[1:])
