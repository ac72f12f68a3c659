"""Where each engine runs its workers, so that one test can ask the same of all of them.

A new engine takes part by one more entry in `SITES`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ray_cluster.nodes import ADDRESS, NODES
from slurm.cluster import allocation
from ssh.server import reachable

__all__ = ["SITES", "Site"]


@dataclass(frozen=True)
class Site:
    """How a launch is told to run there: with one worker, or with two, on two hosts if it has them.

    client: the program that carries a worker's words here; None: the worker is a child of the
    launch. hosts: the names of both.
    """

    one: tuple[str, ...]
    two: tuple[str, ...]
    environment: Mapping[str, str]
    client: str | None = None
    hosts: frozenset[str] = frozenset()


@contextlib.contextmanager
def _local(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    yield Site(("--workers", "1"), ("--workers", "2"), {})


@contextlib.contextmanager
def _ssh(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    with reachable(request.getfixturevalue("server"), folder, {}) as environment:
        hosts = frozenset({"node-a", "node-b"})
        yield Site(("--hosts", "node-b"), ("--hosts", "node-a,node-b"), environment, "ssh", hosts)


@contextlib.contextmanager
def _slurm(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    cluster = request.getfixturevalue("cluster")
    with allocation(cluster, folder / "tmp", "--ntasks-per-node=1") as environment:
        two = ("--engine", "slurm")
        one = (*two, "--workers", "1")
        yield Site(one, two, environment, "srun", frozenset({"n1", "n2"}))


@contextlib.contextmanager
def _ray(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    two = ("--engine", "ray", "--ray-address", ADDRESS)
    cluster = request.getfixturevalue("ray_cluster")
    with cluster.network():
        yield Site((*two, "--workers", "1"), two, {}, "ray_client.py", frozenset(NODES))
        cluster.check_nothing_is_left()


SITES: Mapping[str, Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Site]]] = {
    "local": _local,
    "ssh": _ssh,
    "slurm": _slurm,
    "ray": _ray,
}
