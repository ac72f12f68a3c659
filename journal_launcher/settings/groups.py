"""The options of every launch, whatever its trials are: study, devices, search, faults."""

from dataclasses import dataclass

from journal_launcher.settings.options import option

__all__ = ["SEARCH", "CommonSettings"]

STUDY, DEVICES, SEARCH, FAULTS = "Study", "Devices", "Search", "Faults"


@dataclass(frozen=True)
class CommonSettings:
    """The first half of `LaunchSettings`, which checks it."""

    n_trials: int = option(
        20, STUDY, "Total of finished trials the study shall have.", metavar="N", flags=("trials",)
    )
    timeout: float | None = option(
        None,
        STUDY,
        "Start no trial after this time; running ones finish.",
        metavar="30s|10m|2h",
        duration=True,
    )
    study_name: str | None = option(
        None, STUDY, "Name of the study (default: made from data and model).", metavar="NAME"
    )
    studies_dir: str = option("optuna_studies", STUDY, "Folder of all studies.", metavar="DIR")
    overwrite: bool = option(
        False, STUDY, "Move an old study of this name aside and start anew.", switch=True
    )
    allow_network_fs: bool = option(
        False, STUDY, "Accept a studies folder on a network file system.", switch=True
    )

    gpus: str = option(
        "auto",
        DEVICES,
        "GPUs to use: free ones, all, none, or a list of indices or UUIDs.",
        metavar="auto|all|none|0,2|GPU-uuid,…|MIG-uuid,…",
    )
    workers: int | None = option(
        None, DEVICES, "CPU workers, when no GPU is used (default 1).", metavar="N"
    )
    workers_per_gpu: int = option(1, DEVICES, "Workers on each GPU.", metavar="N")

    sampler: str = option(
        "tpe",
        SEARCH,
        "How parameters are chosen.",
        choices=("tpe", "random", "gp", "qmc"),
        reference=True,
    )
    pruner: str = option(
        "median",
        SEARCH,
        "Which unpromising trials end early.",
        choices=("none", "median", "hyperband"),
        reference=True,
    )
    callback: tuple[str, ...] = option(
        (),
        SEARCH,
        "Called as callback(study, trial) after each trial.",
        reference=True,
        many=True,
    )
    seed: int | None = option(
        None, SEARCH, "Seed of folds, sampler and training (default 0).", metavar="N"
    )

    trial_timeout: float | None = option(
        None,
        FAULTS,
        "Kill a trial that runs longer, and retry it.",
        metavar="30s|10m|2h",
        duration=True,
    )
    max_retries: int = option(
        1, FAULTS, "Retries of a trial whose worker died or that timed out.", metavar="N"
    )
    max_failures: int | None = option(
        None,
        FAULTS,
        "End the launch after this many failed trials (default 10 or --n-trials, the larger).",
        metavar="N",
    )
