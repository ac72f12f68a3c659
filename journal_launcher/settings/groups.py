"""The options of every launch, whatever its trials are: study, devices, search, faults, output.

Each group holds its options and checks what concerns them alone. `LaunchSettings` is all of them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import check_study_name
from journal_launcher.settings.hosts import parse_hosts
from journal_launcher.settings.options import check_at_least, flag, option

__all__ = [
    "SEARCH",
    "DevicesGroup",
    "FaultsGroup",
    "OutputGroup",
    "SearchGroup",
    "StudyGroup",
]

STUDY = "Study"
DEVICES = "Devices"
SEARCH = "Search"
FAULTS = "Faults"
OUTPUT = "Output"


@dataclass(frozen=True)
class StudyGroup:
    """Which study, and how much of it."""

    n_trials: int = option(
        20,
        STUDY,
        "Total of finished trials the study shall have.",
        metavar="N",
        spellings=("trials",),
    )
    patience: int | None = option(
        None,
        STUDY,
        "Done when this many finished trials in a row brought nothing better.",
        metavar="N",
    )
    enqueue: Sequence[Mapping[str, Any]] | None = option(
        None,
        STUDY,
        "Parameters to try first, a table for each trial.",
        key="[[enqueue]]",
        example="[[enqueue]]\nlr = 0.01\nlayers = 2",
    )
    timeout: float | None = option(
        None,
        STUDY,
        "Start no trial after this time; running ones finish.",
        metavar="30s|10m|2h",
        duration=True,
    )
    study_name: str | None = option(
        None,
        STUDY,
        "Name of the study (default: made from data, target and model).",
        metavar="NAME",
    )
    studies_dir: str = option("optuna_studies", STUDY, "Folder of all studies.", metavar="DIR")
    overwrite: bool = option(
        False, STUDY, "Move an old study of this name aside and start anew.", switch=True
    )
    allow_network_fs: bool = option(
        False, STUDY, "Accept a studies folder on a network file system.", switch=True
    )

    def check(self) -> None:
        """Raise UsageError for what no study can be."""
        check_at_least("n_trials", self.n_trials, 1)
        check_at_least("patience", self.patience, 1)
        _check_enqueue(self.enqueue)
        _check_duration("timeout", self.timeout)
        if self.study_name is not None:
            check_study_name(self.study_name)


@dataclass(frozen=True)
class DevicesGroup:
    """Where workers run."""

    engine: str = option(
        "local",
        DEVICES,
        "Where workers run: here, as steps of the Slurm job that this is, or on a Ray cluster.",
        choices=("local", "slurm", "ray"),
    )
    ray_address: str = option(
        "auto",
        DEVICES,
        "The Ray cluster; auto: the one that this machine is a node of.",
        metavar="auto|HOST:PORT",
    )
    hosts: str | None = option(
        None,
        DEVICES,
        "Run on these machines, by ssh: a worker on each free GPU, or N.",
        metavar="HOST[:N],…",
        commas=True,
    )
    remote_dir: str | None = option(
        None,
        DEVICES,
        "The folder on the nodes that stands for this one, where it has another path.",
        metavar="DIR",
    )
    gpus: str = option(
        "auto",
        DEVICES,
        "GPUs to use: free ones, all, none, or a list of indices or UUIDs.",
        metavar="auto|all|none|0,2|GPU-uuid,…|MIG-uuid,…",
        commas=True,
    )
    workers: int | None = option(
        None, DEVICES, "CPU workers, when no GPU is used (default 1).", metavar="N"
    )
    workers_per_gpu: int | str = option(
        1,
        DEVICES,
        "Workers on each GPU; auto: as many as its memory holds and make it faster.",
        metavar="N|auto",
        word="auto",
    )
    gpus_per_worker: int = option(
        1, DEVICES, "GPUs of each worker, for own code that trains on several.", metavar="N"
    )

    def check(self) -> None:
        """Raise UsageError for numbers of workers that cannot be."""
        if self.remote_dir is not None and not self.remote_dir.startswith(("/", "~")):
            raise UsageError(
                f"--remote-dir {self.remote_dir}: expected a path from the root or from ~"
            )
        if self.remote_dir is not None and self.engine == "local" and self.hosts is None:
            raise UsageError(
                f"--remote-dir {self.remote_dir}: names a folder on the nodes of an --engine, or "
                "on --hosts; choose one of them, or leave it away"
            )
        self._check_ray_address()
        check_at_least("workers", self.workers, 1)
        check_at_least("workers_per_gpu", self.first_per_gpu, 1)
        check_at_least("gpus_per_worker", self.gpus_per_worker, 1)
        if self.workers_per_gpu != 1 and self.gpus_per_worker > 1:
            raise UsageError("use either --workers-per-gpu or --gpus-per-worker")
        if self.hosts is not None:
            self._check_hosts(self.hosts)

    def _check_ray_address(self) -> None:
        if self.ray_address == "auto":
            return
        if not re.fullmatch(r"([^\s:/]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}", self.ray_address):
            raise UsageError(
                f"--ray-address {self.ray_address}: expected auto, or HOST:PORT of a cluster that "
                "this machine is a node of (`ray start --head` says it)"
            )
        if self.engine != "ray":
            raise UsageError(
                f"--ray-address {self.ray_address}: names a cluster of --engine ray; add that, or "
                "leave it away"
            )

    def _check_hosts(self, hosts: str) -> None:
        parse_hosts(hosts)
        if self.engine != "local":
            raise UsageError(f"use either --hosts or --engine {self.engine}")
        if self.workers is not None:
            raise UsageError(
                f"--workers {self.workers}: counts workers of this machine; with --hosts say how "
                "many each shall have, as in --hosts a:2,b:4"
            )
        if self.workers_per_gpu != 1:
            raise UsageError(
                f"--workers-per-gpu {self.workers_per_gpu}: with --hosts a GPU has one worker; "
                "leave it away"
            )

    @property
    def packs(self) -> bool:
        """Is the number of workers on a GPU found out while the launch runs?"""
        return self.workers_per_gpu == "auto"

    @property
    def first_per_gpu(self) -> int:
        """How many workers each GPU begins with."""
        return self.workers_per_gpu if isinstance(self.workers_per_gpu, int) else 1


@dataclass(frozen=True)
class SearchGroup:
    """How parameters are searched for."""

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

    def check(self) -> None:
        """Raise UsageError for a seed that no generator takes."""
        check_at_least("seed", self.seed, 0)
        if self.seed is not None and self.seed >= 2**32:
            raise UsageError(f"--seed: expected less than 2^32, found {self.seed}")


@dataclass(frozen=True)
class FaultsGroup:
    """What goes wrong, and how often it may."""

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

    def check(self) -> None:
        """Raise UsageError for limits that cannot be."""
        check_at_least("max_retries", self.max_retries, 0)
        check_at_least("max_failures", self.max_failures, 1)
        _check_duration("trial_timeout", self.trial_timeout)


@dataclass(frozen=True)
class OutputGroup:
    """What comes of it, beside the study."""

    debug: bool = option(
        False, OUTPUT, "One trial in this terminal, nothing kept; pdb works.", switch=True
    )


def _check_enqueue(tables: Any) -> None:
    listed = isinstance(tables, Sequence) and not isinstance(tables, str)
    tables = tables if listed else [] if tables is None else [tables]
    for place, table in enumerate(tables):
        key = enqueue_key(tables, place)
        good = listed and isinstance(table, Mapping) and table
        if not good or not all(isinstance(name, str) for name in table):
            expected = "expected a table of parameters for each trial, such as lr = 0.01"
            raise UsageError(f"{key}: {expected}, found {table!r:.80}")
        for name, value in table.items():
            if not can_be_queued(value):
                raise UsageError(
                    f"{key} {name}: expected a number, text, true, false or a list of such, "
                    f"found {value!r:.80}"
                )


def enqueue_key(tables: Sequence[Any], place: int) -> str:
    """How to name one of the tables in a message; of several, by which one it is in the file."""
    return "[[enqueue]]" if len(tables) == 1 else f"[[enqueue]] number {place + 1}:"


def can_be_queued(value: Any) -> bool:
    """What a parameter may be, and a journal can hold."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):  # a choice may be one
        return all(map(can_be_queued, value))
    return value is None or isinstance(value, str | int)


def _check_duration(name: str, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{flag(name)}: expected a positive duration, found {value}")
