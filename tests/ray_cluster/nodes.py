"""A Ray cluster of two nodes with two fake GPUs each, on this machine, on loopback, as root.

Ray binds every interface, so it has a network of its own, which this process may enter; each node
has its own name and mounts.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher.harness import wait_until

__all__ = ["ADDRESS", "GPUS", "NODES", "Cluster", "running_cluster"]

_NEEDED = ("ip", "unshare", "nsenter")
NODES = {"n1": "10.99.0.1", "n2": "10.99.0.2"}
ADDRESS = f"{NODES['n1']}:6379"
GPUS = [
    {"uuid": f"GPU-{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-000000000000", "name": "NVIDIA H100"}
    for n in (0, 1)
]
"""Of each node, for a worker that looks."""
_NEW_NETWORK = 0x40000000
_OPTIONS = ("--num-cpus=2", "--num-gpus=2", "--object-store-memory=80000000")
# Ray waits a quarter of a minute for ports that it is not told.
_PORTS = (
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
)
# A busy machine is none that has failed, but half a minute of silence is a node's end.
_PATIENT = {
    "RAY_NUM_REDIS_GET_RETRIES": "100",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "30",
    "RAY_agent_register_timeout_ms": "100000",
}
_LEAVING = 150  # seconds: a busy machine
_ATTEMPTS = 5  # Ray gives its own start half a minute


class Cluster:
    """Its nodes are the ones in `NODES`; the first is the head."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = {**os.environ, **_PATIENT, **environment}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._network = 0  # its inode

    def start(self) -> None:
        """Start them in this process's network, which is theirs alone."""
        self._network = os.stat("/proc/self/ns/net").st_ino
        for name in NODES:
            self.begin(name)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This process, and whatever it starts, is in the network of the nodes."""
        with _and_back(), open(f"/proc/{self._daemons['n1'].pid}/ns/net", "rb") as network:
            _enter(network.fileno())
            yield

    def begin(self, name: str) -> None:
        """Start a node, and wait until the cluster has it."""
        for attempt in range(_ATTEMPTS):
            self._daemons[name] = self._started(name)
            while self._daemons[name].poll() is None:
                if "Ray runtime started" in self.log(name):
                    return
                time.sleep(0.1)
            self.fail(name)
            assert attempt + 1 < _ATTEMPTS, self.log(name)[-2000:]

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        head = ("--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self.folder}")
        where = head if name == "n1" else (f"--address={ADDRESS}",)
        ports = zip(_PORTS, count(20_000 + 10 * [*NODES].index(name)), strict=False)
        ray = [
            *(_RAY, "start", "--block", "--disable-usage-stats", *_OPTIONS, *where),
            *(f"--node-ip-address={NODES[name]}", *(f"--{what}={port}" for what, port in ports)),
        ]
        with open(self.folder / f"{name}.log", "wb") as output:
            return subprocess.Popen(
                ("unshare", "--uts", "--mount", "sh", "-c", _NAMED, name, *ray),
                cwd="/",
                env={**self._environment, "NODE": name, "TMPDIR": str(self._tmpdir(name))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _tmpdir(self, name: str) -> Path:
        (self.folder / "tmp" / name).mkdir(parents=True, exist_ok=True)
        return self.folder / "tmp" / name

    def processes(self, word: str, node: str | None = None) -> list[psutil.Process]:
        """Those in the network of the nodes in whose command line is a word; of a node, or all.

        Not the shells that guard them.
        """
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):  # it ends meanwhile
                here = os.stat(f"/proc/{process.pid}/ns/net").st_ino == self._network
                there = node in (None, process.environ().get("NODE"))
                if here and there and process.name() != "sh":
                    found += [process] * (word in " ".join(process.cmdline()))
        return found

    def clients(self) -> list[psutil.Process]:
        """Of launches."""
        return self.processes("ray_client.py")

    def actors(self, node: str | None = None) -> list[psutil.Process]:
        return self.processes("ray::Carrier", node)

    def check_nothing_is_left(self) -> None:
        """Of launches, soon after their end."""
        wait_until(lambda: not self.clients(), _LEAVING)
        wait_until(lambda: not self.actors(), _LEAVING)
        wait_until(lambda: not any(map(self.scratch, NODES)), _LEAVING)

    def scratch(self, name: str) -> list[Path]:
        """What agents have left there."""
        return [*self._tmpdir(name).glob("journal-launcher-*/*")]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def of_ray(self, name: str) -> list[psutil.Process]:
        """What a node has of Ray; not what an agent has started there."""
        found = []
        for process in self.processes("", name):
            with contextlib.suppress(psutil.Error):
                if "-P" not in process.cmdline() and process.name() != "sleep":
                    found.append(process)
        return found

    def fail(self, name: str) -> None:
        """A node is gone at once, as Ray sees it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._daemons[name].pid, signal.SIGKILL)
        for process in self.of_ray(name):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._daemons[name].wait()

    @contextlib.contextmanager
    def hidden(self, folder: Path, name: str) -> Iterator[None]:
        """The node sees another file system in the folder's place, an empty one."""
        within = ("nsenter", f"--target={self._daemons[name].pid}", "--mount")
        subprocess.run([*within, "mount", "-t", "tmpfs", "none", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run([*within, "umount", "--lazy", str(folder)], check=True)

    def stop(self) -> None:
        for name in reversed([*self._daemons]):
            self.fail(name)


_NAMED = 'hostname "$0" && exec "$@"'
_RAY = str(Path(sys.executable).with_name("ray"))


@contextlib.contextmanager
def _and_back() -> Iterator[None]:
    with open("/proc/self/ns/net", "rb") as before:
        try:
            yield
        finally:
            _enter(before.fileno())


def _enter(network: int) -> None:
    if _libc().setns(network, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "the network cannot be entered")


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def _own_network() -> Iterator[None]:
    """Loopback alone."""
    with _and_back():
        if _libc().unshare(_NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "no network of its own")
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
        for address in NODES.values():
            subprocess.run(("ip", "address", "add", f"{address}/32", "dev", "lo"), check=True)
        yield


def _check_needed() -> None:
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    missing += ["root"] * (os.geteuid() != 0)
    missing += ["ray"] * (importlib.util.find_spec("ray") is None)
    if missing and os.environ.get("CI") != "true":
        how = "apt-get install iproute2; ./launch.sh pip install ray"
        pytest.skip(f"no {', '.join(missing)}: {how}")
    assert not missing, f"missing: {missing}"


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster, as long as the block lasts. Skips where the means are missing, which CI has."""
    _check_needed()
    folder = Path(tempfile.mkdtemp(prefix="jl-ray-", dir="/tmp"))  # sockets: a path may not be long
    (folder / "libcuda.so.1").write_text("no library: a driver would miss these GPUs")
    environment = {"FAKE_NVML": json.dumps({"gpus": GPUS}), "LD_LIBRARY_PATH": str(folder)}
    cluster = Cluster(folder, environment)
    try:
        with _own_network():
            cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
