"""A Slurm cluster of two nodes with two fake GPUs each, on this machine, on loopback, as root."""

import contextlib
import fcntl
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher.harness import wait_until

__all__ = ["Cluster", "allocation", "running_cluster", "steps"]

_NEEDED = ("slurmctld", "slurmd", "munged", "srun", "sbatch", "unshare", "nsenter")
_PATIENCE = 30.0  # seconds that Slurm has for anything

_SLURM = """\
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=5
MinJobAge=10
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} {size}
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} {size}
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_SIZE = (
    "CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=2000 "
    "Gres=gpu:2 State=UNKNOWN"
)


_PORTS = range(20_000, 30_000)


class Cluster:
    """Its commands find it by `environment`. Each node has mounts of its own, and eight CPUs by its
    own words."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder
        self._ports = ports
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[Any] = []

    def start(self) -> None:
        folder = self.folder
        for name in ("state", "spool-n1", "spool-n2"):
            (folder / name).mkdir()
        for number in (0, 1):
            os.mknod(folder / f"nvidia{number}", 0o20666, os.makedev(1, 3))
        (folder / "slurm.conf").write_text(
            _SLURM.format(folder=folder, ports=self._ports, size=_SIZE)
        )
        gres = "".join(f"NodeName=n{n} Name=gpu File={folder}/nvidia[0-1]\n" for n in (1, 2))
        (folder / "gres.conf").write_text(gres)
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._start(
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(f"--socket={folder}/munge.sock", f"--pid-file={folder}/munge.pid"),
            *(f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"),
            "--num-threads=2",
        )
        wait_until((folder / "munge.sock").exists, _PATIENCE)
        self._start("slurmctld", "-D")
        for name in ("n1", "n2"):
            self._start("unshare", "--mount", "slurmd", "-D", "-N", name)
        wait_until(lambda: self.run("sinfo", "-h", "-o", "%D %T") == "2 idle", _PATIENCE)

    def _start(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    cwd="/",
                    env={**os.environ, **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return (done.stdout + done.stderr).strip()

    def is_empty(self) -> bool:
        """Is no job queued, running or ending, and every node idle again?"""
        queue = self.run("squeue", "-h", "-o", "%i %T")
        return not queue and self.run("sinfo", "-h", "-o", "%D %T") == "2 idle"

    def fail(self, node: str) -> None:
        """A power cut: its daemon and everything that runs there are gone at once."""
        for victim in self._running_on(node):
            with contextlib.suppress(psutil.Error):
                victim.kill()

    @contextlib.contextmanager
    def frozen(self, node: str) -> Iterator[None]:
        """Nothing there moves, as on a machine that swaps or has lost its network."""
        halted = self._running_on(node)
        for process in halted:
            process.suspend()
        try:
            yield
        finally:
            for process in halted:
                with contextlib.suppress(psutil.Error):
                    process.resume()

    def _running_on(self, node: str) -> list[psutil.Process]:
        """Its daemon first, and everything that runs there."""
        daemons = [d for d in self._daemons if d.args[-1] == node and d.poll() is None]
        found = [psutil.Process(daemon.pid) for daemon in daemons]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                has = process.environ()
                ours = has.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if ours and has.get("SLURMD_NODENAME") == node:
                    found += [parent for parent in process.parents() if _is_step(parent)]
                    found.append(process)
        return list(dict.fromkeys(found))

    @contextlib.contextmanager
    def hidden(self, folder: Path, node: str) -> Iterator[None]:
        """The node sees another file system in the folder's place, an empty one."""
        self.within(node, "mount", "-t", "tmpfs", "none", str(folder))
        try:
            yield
        finally:
            self.within(node, "umount", "--lazy", str(folder))

    def within(self, node: str, *command: str) -> None:
        """Run a command among the mounts of the node."""
        daemon = next(d for d in self._daemons if d.args[-1] == node and d.poll() is None)
        subprocess.run(["nsenter", f"--target={daemon.pid}", "--mount", *command], check=True)

    def repair(self, node: str) -> None:
        """Its daemon is started again."""
        self._start("unshare", "--mount", "slurmd", "-D", "-N", node)
        self.run("scontrol", "update", f"nodename={node}", "state=resume")
        wait_until(lambda: "State=IDLE " in self.run("scontrol", "show", "node", node), _PATIENCE)

    def stop(self) -> None:
        self.run("scancel", "--full", "-u", "root")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.run("squeue", "-h"), _PATIENCE)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _is_step(process: psutil.Process) -> bool:
    return process.name() == "slurmstepd"


@contextlib.contextmanager
def _own_ports(count: int) -> Iterator[list[int]]:
    """Free ports that no other cluster of these tests takes meanwhile: each is a lock, too.

    They are below those that the kernel gives to whoever connects.
    """
    with contextlib.ExitStack() as locks:
        found: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            if len(found) == count:
                break
            path = Path(tempfile.gettempdir()) / f"jl-slurm-port-{port}"
            lock = locks.enter_context(open(path, "w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            locks.callback(path.unlink, missing_ok=True)
            found.append(port)
        yield found


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster, as long as the block lasts; where there is no Slurm, the test is skipped."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    missing += ["root"] * (os.geteuid() != 0)
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    assert not missing, f"missing: {missing}"
    folder = Path(tempfile.mkdtemp(prefix="jl-slurm-", dir="/tmp"))
    with _own_ports(3) as ports:
        cluster = Cluster(folder, ports)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def allocation(cluster: Cluster, scratch: Path, *options: str) -> Iterator[dict[str, str]]:
    """The environment of an allocation of both nodes, in which nothing is left at the end.

    scratch: the nodes' TMPDIR, made here.
    """
    scratch.mkdir()
    said = cluster.run("salloc", "--no-shell", "--nodes=2", *options)
    number = said.split("allocation ")[1].split()[0]
    yield {**cluster.environment, "SLURM_JOB_ID": number, "TMPDIR": str(scratch)}
    if "--no-kill" not in options:  # Slurm keeps a step of a failed node until the job ends
        wait_until(lambda: steps(cluster, number) == "", _PATIENCE)
    cluster.run("scancel", number)
    wait_until(cluster.is_empty, _PATIENCE)
    assert not list(scratch.iterdir())


def steps(cluster: Cluster, number: str) -> str:
    """What `squeue` says of the steps of a job."""
    return cluster.run("squeue", "--steps", "--noheader", "--jobs", number)
