"""Workers as job steps of the Slurm allocation that this launch is part of.

What no manual says (22.05): `srun --gpus=1` gets all GPUs of a node where the job asked for
--gpus-per-node, `--gres=gpu:1` one. Without `--mem=0` the first step takes the job's whole memory,
and the others wait for it. The options of the job reach srun by its environment and would count.
A node that fails ends srun with 0. A queued srun that gets SIGKILL stays in the queue.
"""

import contextlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from journal_launcher.base import messages
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, ResumableStop, UsageError
from journal_launcher.base.messages import FromWorker
from journal_launcher.base.paths import typed
from journal_launcher.devices.choose import Device, pin_environment
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.carried import CarriedProcess, CarryingEngine, agent_command
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["Allocation", "SlurmEngine", "parse_allocation"]

_KEPT = ("SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_SUBMIT_DIR")
_NODES = re.compile(r"Nodes=(\S+) CPU_IDs=(\S+) Mem=\S+(?: GRES=(\S*))?")
_TASKS = re.compile(r"NumTasks=(\d+) CPUs/Task=(\S+)")
_GPUS = re.compile(r"\bgpu(?::[^:,()]+)?:(\d+)")
_STEPS = 4294967000  # greater numbers are those of batch scripts and interactive shells
_PATIENCE = 30.0  # seconds for a command of Slurm


class NodeShare(NamedTuple):
    """What the job has on one node."""

    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Allocation:
    """What the job has: on each node, and how many tasks of how many CPUs it was asked for."""

    nodes: tuple[NodeShare, ...]
    tasks: int
    cpus_per_task: int


class SlurmEngine(CarryingEngine):
    """Starts each worker as a job step.

    Raises:
        UsageError: this process is not in an allocation, or is one of its steps.
    """

    places_known = False

    def __init__(self, settings: LaunchSettings, environment: Mapping[str, str]) -> None:
        _check_inside(environment)
        super().__init__(settings, environment)
        self._per_worker = 0  # GPUs
        self._started: set[int] = set()

    def plan(self) -> tuple[tuple[WorkerSpec, ...], tuple[str, ...]]:
        """One blueprint a GPU of the allocation, or a task where no GPU is used; and notes.

        Raises:
            UsageError: the allocation and the options do not go together.
        """
        settings = self._settings
        found = read_allocation(self._environment)
        if settings.gpus not in ("auto", "all", "none"):
            raise UsageError(
                f"--gpus {settings.gpus}: with --engine slurm the job says which GPUs; use all, or "
                "none"
            )
        if settings.workers_per_gpu != 1:
            raise UsageError(
                f"--workers-per-gpu {settings.workers_per_gpu}: with --engine slurm a GPU has one "
                "worker; leave it away"
            )
        gpus = sum(node.gpus for node in found.nodes)
        if settings.gpus == "none" or settings.cpu_only or (settings.gpus == "auto" and not gpus):
            return self._specs(*_tasks(settings, found), 0), ()
        specs = self._specs(*_of_gpus(settings, found), settings.gpus_per_worker)
        idle = gpus - len(specs) * settings.gpus_per_worker
        left = f"{idle} of {gpus} GPUs stay idle: --gpus-per-worker {settings.gpus_per_worker}"
        return specs, (left,) if idle else ()

    def _specs(self, workers: int, threads: int, gpus: int) -> tuple[WorkerSpec, ...]:
        self._per_worker = gpus
        kept = {
            name: value
            for name, value in self._environment.items()
            if name in _KEPT or not name.startswith(("SLURM_", "CUDA_VISIBLE_DEVICES"))
        }
        name = "CPU" if not gpus else f"{gpus} GPUs" if gpus > 1 else "GPU"
        device = Device("gpu" if gpus else "cpu", None, None, name, "Slurm")
        environment = pin_environment(device, threads, kept)
        del environment["CUDA_VISIBLE_DEVICES"]  # the step has its own
        return tuple(WorkerSpec(index, device, threads, environment) for index in range(workers))

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> "SlurmProcess":
        if spec.index in self._started:
            self._check_job()
        self._started.add(spec.index)
        client = [
            *("srun", "--exact", "-N1", "-n1", f"-c{spec.threads}", "--mem=0", "--mpi=none"),
            f"--gres=gpu:{self._per_worker}" if self._per_worker else "--gres=none",
            f"--job-name=worker-{spec.index}",
            *agent_command(),
        ]
        carry = self._carry(launch, self._per_worker)
        return SlurmProcess(spec, launch, log, client, carry)

    def _check_job(self) -> None:
        """Nothing can be started anew in a job that is over.

        Raises:
            ResumableStop: it is.
        """
        job = self._environment["SLURM_JOB_ID"]
        command = ("squeue", "--noheader", "--format=%T", f"--jobs={job}")
        try:
            state = _ask(self._environment, *command).strip()
        except UsageError as error:
            state = "" if "Invalid job id" in str(error) else "RUNNING"  # as far as we know
        if state != "RUNNING":
            raise ResumableStop(
                f"the Slurm job {job} is {state.lower() or 'over'}: nothing acknowledged is lost; "
                f"{AGAIN} in a new one"
            )


class SlurmProcess(CarriedProcess):
    """A job step; one that has lost its srun is cancelled, for it would keep the GPU."""

    _step: str | None = None

    def _is_of_agent(self, message: FromWorker) -> bool:
        if isinstance(message, messages.Placed):
            self._step = message.step
        return super()._is_of_agent(message)

    def reap(self, seconds: float) -> int | None:
        status = super().reap(seconds)
        if self._step is not None and not self.said_how_it_ended:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    ["scancel", "--signal=KILL", self._step],
                    env=dict(self.spec.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_PATIENCE,
                )
        return status


def _check_inside(environment: Mapping[str, str]) -> None:
    if not environment.get("SLURM_JOB_ID"):
        raise UsageError(
            "--engine slurm: expected to run in a Slurm job (sbatch, salloc), found none; type: "
            f"{typed()} init --slurm && sbatch study.sbatch, with the same options behind it"
        )
    step = environment.get("SLURM_STEP_ID", "")
    if step.isdecimal() and int(step) < _STEPS:
        raise UsageError(
            "--engine slurm: expected to run in the batch script itself, found a job step of it; "
            "leave the srun before it away: it starts one for each worker"
        )


def read_allocation(environment: Mapping[str, str]) -> Allocation:
    """Ask Slurm what the job has.

    Raises:
        UsageError: it does not answer, or not in words that are known here.
    """
    job = environment["SLURM_JOB_ID"]
    said = _ask(environment, "scontrol", "show", "job", "--details", job)

    def names(nodes: str) -> list[str]:
        return _ask(environment, "scontrol", "show", "hostnames", nodes).split()

    nodes = [
        NodeShare(name, cpus, gpus) for found, cpus, gpus in _shares(said) for name in names(found)
    ]
    return parse_allocation(said, tuple(nodes))


def parse_allocation(said: str, nodes: tuple[NodeShare, ...]) -> Allocation:
    """The allocation in what `scontrol show job` says, whose nodes are known already."""
    tasks = _TASKS.search(said)
    if not nodes or tasks is None:
        raise UsageError(
            "--engine slurm: expected nodes and tasks in `scontrol show job --details`, found "
            f"{said[:200]!r}"
        )
    per_task = int(tasks[2]) if tasks[2].isdecimal() else 1
    return Allocation(nodes, int(tasks[1]), per_task)


def _shares(said: str) -> list[tuple[str, int, int]]:
    """(nodes as Slurm writes them, CPUs on each, GPUs on each)."""
    return [
        (found[1], _count(found[2]), sum(map(int, _GPUS.findall(found[3] or ""))))
        for found in _NODES.finditer(said)
    ]


def _count(numbers: str) -> int:
    """How many numbers there are in 0-3,8."""
    total = 0
    for part in numbers.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def _of_gpus(settings: LaunchSettings, found: Allocation) -> tuple[int, int]:
    """(workers, CPUs of each) where each has GPUs."""
    if settings.workers is not None:
        raise UsageError(
            f"--workers {settings.workers}: counts CPU workers, but this job has GPUs; use --gpus "
            "none, or leave --workers away"
        )
    on_nodes = {node: node.gpus // settings.gpus_per_worker for node in found.nodes}
    used = {node: count for node, count in on_nodes.items() if count}
    if not used:
        most = max(node.gpus for node in found.nodes)
        wanted = settings.gpus_per_worker
        raise UsageError(
            f"--gpus {settings.gpus}: expected {wanted} GPU{'s' * (wanted > 1)} on a node of this "
            f"job, found {most}; ask for them with #SBATCH --gpus-per-node={wanted}"
        )
    node, count = min(used.items(), key=lambda item: item[0].cpus // item[1])
    if node.cpus < count:
        raise UsageError(
            f"--engine slurm: expected a CPU of this job for each of {count} workers on "
            f"{node.name}, found {node.cpus}; ask for more with #SBATCH --cpus-per-gpu=4"
        )
    return sum(used.values()), node.cpus // count


def _tasks(settings: LaunchSettings, found: Allocation) -> tuple[int, int]:
    """(workers, CPUs of each) where none has a GPU."""
    if settings.gpus_per_worker > 1:
        raise UsageError(
            f"--gpus-per-worker {settings.gpus_per_worker}: this launch uses no GPU; leave it away"
        )
    wanted = settings.workers or found.tasks
    if wanted > found.tasks:
        raise UsageError(
            f"--workers {wanted}: expected as many tasks of this job, found {found.tasks}; ask for "
            f"them with #SBATCH --ntasks={wanted}"
        )
    return wanted, found.cpus_per_task


def _ask(environment: Mapping[str, str], *command: str) -> str:
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--engine slurm: {' '.join(command)}: {error}") from None
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise UsageError(f"--engine slurm: {' '.join(command)}: {said}")
    return done.stdout
