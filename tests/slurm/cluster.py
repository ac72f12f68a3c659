"""A Slurm cluster of two nodes with two fake GPUs each, on this machine, on loopback, as root."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

__all__ = ["NEEDED", "Cluster", "running_cluster"]

NEEDED = ("slurmctld", "slurmd", "munged", "srun", "sbatch")

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
    "CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=2000 "
    "Gres=gpu:2 State=UNKNOWN"
)


class Cluster:
    """Its commands find it by `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[Any] = []

    def start(self) -> None:
        folder = self.folder
        for name in ("state", "spool-n1", "spool-n2"):
            (folder / name).mkdir()
        for number in (0, 1):
            os.mknod(folder / f"nvidia{number}", 0o20666, os.makedev(1, 3))
        (folder / "slurm.conf").write_text(
            _SLURM.format(folder=folder, ports=_free_ports(3), size=_SIZE)
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
        _wait_for((folder / "munge.sock").exists)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", "n1")
        self._start("slurmd", "-D", "-N", "n2")
        _wait_for(lambda: self.run("sinfo", "-h", "-o", "%D %T") == "2 idle")

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
        steps = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found = process.environ()
                ours = found.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if ours and found.get("SLURMD_NODENAME") == node:
                    steps += [parent for parent in process.parents() if _is_step(parent)]
                    steps.append(process)
        for victim in [*(d for d in self._daemons if d.args[-1] == node), *steps]:
            with contextlib.suppress(psutil.Error):
                victim.kill()

    def repair(self, node: str) -> None:
        """Its daemon is started again."""
        self._start("slurmd", "-D", "-N", node)
        self.run("scontrol", "update", f"nodename={node}", "state=resume")
        _wait_for(lambda: "State=IDLE " in self.run("scontrol", "show", "node", node))

    def stop(self) -> None:
        self.run("scancel", "--full", "-u", "root")
        with contextlib.suppress(AssertionError):
            _wait_for(lambda: not self.run("squeue", "-h"))
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


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def _wait_for(happened: object, seconds: float = 30) -> None:
    assert callable(happened)
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "the cluster does not start; see its logs"
        time.sleep(0.02)


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster, as long as the block lasts."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
