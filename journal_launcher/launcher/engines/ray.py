"""Workers as actors of the Ray cluster that this machine is a node of.

Nothing here imports Ray: clients do (ray_client.py), one for a look around, and one a worker.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from journal_launcher.base import messages
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import install_extra
from journal_launcher.devices.choose import Device
from journal_launcher.devices.cpus import threads_per_worker
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.carried import CarriedProcess, CarryingEngine
from journal_launcher.launcher.engines.host_survey import CHANNEL, asked, missing, read, surveyed
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["Placed", "RayEngine", "RayNode", "placed_on"]

_CLIENT = Path(__file__).with_name("ray_client.py")
_ALIVE = "is it alive, or has it too much to do? See: ray status"
_PATIENCE = 240.0  # seconds for the whole look around; its parts have limits of their own


@dataclass(frozen=True)
class RayNode:
    """What a node of the cluster has, and what the agent that looked around there has said.

    free_gpus, free_cpus: as Ray counts them. status: how the agent has ended; None: not in time.
    """

    id: str
    name: str
    ip: str
    gpus: float
    free_gpus: float
    free_cpus: float
    said: str
    complained: str
    status: int | None

    def cores(self) -> int:
        """The cores that its workers share.

        Raises:
            UsageError: it is not as this machine; what to type.
        """
        found = surveyed(self.said.encode(), "--engine ray")
        if found is not None:
            return found.cores
        if self.status is None:
            raise UsageError(f"--engine ray: {self.name}: no answer in time; {_ALIVE}")
        last = self.complained.strip().rpartition("\n")[2].rstrip(".")
        raise UsageError(f"--engine ray: {self.name}: {missing(self.name, self.status, last)}")


@dataclass(frozen=True)
class Placed:
    """A worker's place: its node, as long as that lives, and what it takes of Ray there."""

    node: RayNode
    gpus: int
    cpus: int
    threads: int


class RayEngine(CarryingEngine):
    """Starts each worker in an actor.

    sleep: waits, and raises when the user wants the launch to end.
    """

    places_known = True

    def __init__(
        self,
        settings: LaunchSettings,
        environment: Mapping[str, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(settings, environment)
        self._sleep = sleep
        self._address = settings.ray_address
        self._places: Sequence[Placed] = ()  # of each worker

    def plan(self) -> tuple[tuple[WorkerSpec, ...], tuple[str, ...]]:
        """One blueprint a free GPU of the cluster, or as many as were asked for; and notes.

        Raises:
            UsageError: there is no cluster, its nodes lack something, or have not what was asked.
            JournalLauncherError: a signal has come.
        """
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                f"--engine ray: expected the package ray in {sys.prefix}, found none; type: "
                f"{install_extra('ray', 'ray')}"
            )
        found = self._look_around()
        self._address = found["address"]
        nodes = sorted((RayNode(**about) for about in found["nodes"]), key=lambda n: (n.name, n.id))
        self._places, notes = placed_on(self._settings, nodes)
        return tuple(
            WorkerSpec(index, _device(place), place.threads, self._environment)
            for index, place in enumerate(self._places)
        ), notes

    def _look_around(self) -> dict[str, Any]:
        settings = dataclasses.replace(self._settings, gpus="none", gpus_per_worker=1, workers=None)
        places = (os.getcwd(), self._settings.remote_dir or "")
        line = CHANNEL.encode(messages.Survey(settings.to_json(), self._sources, *places, ""))
        with asked(line, self._client("survey"), self._environment) as (process, said, complained):
            until = time.monotonic() + _PATIENCE
            while process.poll() is None and time.monotonic() < until:
                self._sleep(0.02)
            found: dict[str, Any] = {}
            with contextlib.suppress(ValueError):
                found = json.loads(read(said))
            last = read(complained).decode(errors="replace").strip().rpartition("\n")[2]
        if process.returncode is None or process.returncode < 0:
            found.setdefault("problem", f"no answer of the cluster at {self._address}: {_ALIVE}")
        if "nodes" not in found:
            raise UsageError(f"--engine ray: {found.get('problem', last or 'no answer')}")
        return found

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> CarriedProcess:
        place = self._places[spec.index]
        asked_too = [one.node for one in self._places]
        nodes = ",".join(dict.fromkeys(f"{node.id}@{node.ip}" for node in [place.node, *asked_too]))
        client = self._client("carry", place.gpus, place.cpus, nodes)
        carry = self._carry(launch, place.gpus, with_environment=True)
        return CarriedProcess(spec, launch, log, client, carry)

    def _client(self, what: str, *more: object) -> list[str]:
        program = (sys.executable, "-P", str(_CLIENT))
        return [*program, what, self._address, self._agent_script(), *map(str, more)]


def _device(place: Placed) -> Device:
    """What is known of it before Ray has chosen which."""
    if not place.gpus:
        return Device("cpu", None, None, "CPU", place.node.name)
    name = f"{place.gpus} GPUs" if place.gpus > 1 else "GPU"
    return Device("gpu", None, None, name, place.node.name)


def placed_on(
    settings: LaunchSettings, nodes: Sequence[RayNode]
) -> tuple[tuple[Placed, ...], tuple[str, ...]]:
    """Which workers the nodes get, and what is said of that. Only of these nodes anything is asked.

    Raises:
        UsageError: cluster and options do not go together, or such a node is not as this machine.
    """
    if settings.gpus not in ("auto", "all", "none"):
        raise UsageError(
            f"--gpus {settings.gpus}: with --engine ray the cluster says which GPUs; use auto, "
            "all, or none"
        )
    if settings.workers_per_gpu != 1:
        raise UsageError(
            f"--workers-per-gpu {settings.workers_per_gpu}: with --engine ray a GPU has one "
            "worker; leave it away"
        )
    gpus = sum(int(node.gpus) for node in nodes)
    if settings.gpus == "none" or settings.cpu_only or (settings.gpus == "auto" and not gpus):
        idle = [f"{node.name} stays idle: no CPU is free" for node in nodes if node.free_cpus < 1]
        return _on_cpus(settings, nodes), tuple(idle)
    if settings.workers is not None:
        raise UsageError(
            f"--workers {settings.workers}: counts CPU workers, but this cluster has GPUs; use "
            "--gpus none, or leave --workers away"
        )
    return _on_gpus(settings, nodes, gpus)


def _on_gpus(
    settings: LaunchSettings, nodes: Sequence[RayNode], gpus: int
) -> tuple[tuple[Placed, ...], tuple[str, ...]]:
    each = settings.gpus_per_worker
    most = max((int(node.gpus) for node in nodes), default=0)
    if most < each:
        raise UsageError(
            f"--gpus {settings.gpus}: expected {each} GPU{'s' * (each > 1)} on a node of the "
            f"cluster, found {most or 'none'}; see: ray status"
        )
    usable = {n: int(n.free_gpus if settings.gpus == "auto" else n.gpus) for n in nodes}
    workers = {node: count // each for node, count in usable.items() if count // each}
    if not workers:
        raise UsageError(
            f"--gpus auto: expected {each} GPU{'s' * (each > 1)} on a node of the cluster that "
            "nobody uses, found none; see: ray status, or wait for them with --gpus all"
        )
    places = tuple(
        Placed(node, each, 0, threads_per_worker(node.cores(), count))
        for node, count in workers.items()
        for _ in range(count)
    )
    free = sum(usable.values())
    notes = []
    if free < gpus:
        notes.append(f"{gpus - free} of {gpus} GPUs of the cluster are in use")
    if idle := free - len(places) * each:
        notes.append(f"{idle} of {free} GPUs stay idle: --gpus-per-worker {each}")
    return places, tuple(notes)


def _on_cpus(settings: LaunchSettings, nodes: Sequence[RayNode]) -> tuple[Placed, ...]:
    """Workers share the free CPUs of their node; without a number, each node has one worker."""
    if settings.gpus_per_worker > 1:
        raise UsageError(
            f"--gpus-per-worker {settings.gpus_per_worker}: this launch uses no GPU; leave it away"
        )
    free = {node: int(node.free_cpus) for node in nodes if node.free_cpus >= 1}
    wanted = settings.workers or max(1, len(free))
    if wanted > sum(free.values()):
        raise UsageError(
            f"--engine ray: expected a free CPU of the cluster for each of {wanted} workers, found "
            f"{sum(free.values())}; see: ray status"
        )
    workers = dict.fromkeys(free, 0 if settings.workers else 1)
    while sum(workers.values()) < wanted:  # one more where each has most CPUs then
        node = max(free, key=lambda node: (free[node] / (workers[node] + 1), -workers[node]))
        workers[node] += 1
    for node in filter(workers.__getitem__, free):
        node.cores()  # is it as this machine?
    return tuple(
        Placed(node, 0, free[node] // count, free[node] // count)
        for node, count in workers.items()
        for _ in range(count)
    )
