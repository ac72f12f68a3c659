"""A client of a Ray cluster, a program of its own: the one place that imports Ray.

    ray_client.py survey ADDRESS SCRIPT                run it on each node, tell what that has
    ray_client.py carry ADDRESS SCRIPT GPUS CPUS N,M…  run it in an actor on node N; if that is
                                                       gone, on one of the others, asked as well

A node is ID@IP: one that has died and joins again has another ID, and is the same machine.

As srun does, `carry` gives its stdin to what runs on the node, and says on stdout and stderr what
that says. The end of either is the end of the other: Ray kills an actor with its client.

An actor and a task of `__main__` travel as code: they use nothing but the standard library. Ray
kills children of an actor, so an agent is none: it ends by itself, at the end of its stdin, once it
has killed its worker and removed its folder.
"""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

if __name__ == "__main__":  # at the end, as in a worker
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from journal_launcher.base.paths import install_command

__all__ = ["main"]

_PART = 1 << 16  # bytes at once: Ray copies more than 100 KB through its object store
_BEAT = 5.0  # seconds after which an actor that has nothing to say says so
_SILENT = 60.0  # seconds without a beat until it is given up
_LISTENING = 10.0  # seconds until a port is open
_CONNECTING = 120  # seconds until Ray is connected
_MOVING = 10.0  # seconds until an actor that waits may be better off on its own node
_QUEUED = 120.0  # seconds until it is said that an actor waits for what it needs
_ANSWERING = 90.0  # seconds for a node's answer
_FREEING = 5.0  # seconds until what another client has just left counts as free
# Nobody's child, whose stdin a shell would take from it; and breakpoint() is not Ray's there.
_AGENT = 'unset PYTHONBREAKPOINT; exec 3<&0; "$@" <&3 3<&- &'


class ClusterError(Exception):
    """What is wrong with the cluster, in a line."""


class Carrier:
    """The actor: runs a script on its node. One thread writes to it, and one reads."""

    def __init__(self, script: str) -> None:
        command = ["/bin/sh", "-c", _AGENT, "agent", "/bin/sh", "-c", script]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        shell = subprocess.Popen(command, **pipes, bufsize=0, cwd="/", start_new_session=True)
        shell.wait()
        self._pipes = [cast(BinaryIO, pipe) for pipe in (shell.stdin, shell.stdout, shell.stderr)]
        self._reading = self._pipes[1:]
        for pipe in self._reading:
            os.set_blocking(pipe.fileno(), False)

    def write(self, data: bytes) -> None:
        """Let it read that; nothing is the end."""
        rest = memoryview(data)
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended
            while rest:
                rest = rest[self._pipes[0].write(rest) :]
        if not data:
            self._pipes[0].close()

    def read(self) -> tuple[bytes, bytes, bool]:
        """What it says on its two outputs, and has it ended? Nothing at all: it lives."""
        select.select(self._reading, [], [], _BEAT)
        said, complained = (pipe.read(_PART) for pipe in self._pipes[1:])
        if complained == b"" and len(self._reading) > 1:
            self._reading.pop()
        # What it leaves behind may have its stderr for ever; its stdout nobody else has.
        if said == b"":
            for pipe in self._pipes:
                pipe.close()
        return said or b"", complained or b"", said == b""


def answer(script: str, question: bytes) -> tuple[bytes, bytes, int]:
    """The task of a survey: what the script says to the question, and its exit status."""
    done = subprocess.run(["/bin/sh", "-c", script], input=question, capture_output=True, cwd="/")
    return done.stdout, done.stderr, done.returncode


def connect(address: str) -> Any:
    """Ray, connected to the cluster.

    Raises:
        ClusterError: there is none.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address  # as Ray does
    if address != "auto":
        _check_listens(address)
    os.chdir("/")  # Ray lets actors import from the current directory
    import ray

    signal.alarm(_CONNECTING)  # which ends this where Python is not asked any more
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # of a dozen types
        raise ClusterError(_why(address, str(error))) from None
    signal.alarm(0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray has one that waits
    return ray


def _check_listens(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS={address}: expected HOST:PORT of a cluster that this machine is a node "
            "of; set it so, or use --ray-address"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LISTENING).close()
    except OSError as error:
        raise ClusterError(
            f"expected a Ray cluster at {address}, found {error.strerror or error}; start one "
            f"(ray start --head), or name another one by --ray-address"
        ) from None


def _why(address: str, said: str) -> str:
    """What Ray says when it does not connect, and what to do."""
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", said)
    if len(versions) == 2:
        (ray, python), (our_ray, our_python) = versions
        return (
            f"expected Ray {ray} with Python {python}, as the cluster runs, found Ray {our_ray} "
            f"with Python {our_python} in {sys.prefix}; type: {install_command(f'ray=={ray}')}"
        )
    if "find any running Ray instance" in said:
        return (
            "expected a Ray cluster that this machine is a node of, found none; start one (ray "
            "start --head), or name it by --ray-address HOST:PORT"
        )
    found = " ".join(said.split())[:300]
    return f"expected this machine to be a node of the Ray cluster at {address}, found: {found}"


def survey(address: str, script: str) -> dict[str, Any]:
    """What each node of the cluster has, and says to the question on stdin."""
    question = sys.stdin.buffer.read()
    ray = connect(address)
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    task = ray.remote(answer)
    asked = {task.options(num_cpus=0, **_on(node)).remote(script, question): node for node in nodes}
    free = _free(ray, nodes)
    done, _ = ray.wait([*asked], num_returns=len(asked), timeout=_ANSWERING)
    said = {}
    for one in done:
        with contextlib.suppress(ray.exceptions.RayError):  # its node has died
            said[asked[one]] = ray.get(one)
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return {
        "address": ray.get_runtime_context().gcs_address,
        "nodes": [
            {
                "id": node,
                "name": about["NodeManagerHostname"],
                "ip": about["NodeManagerAddress"],
                "gpus": about["Resources"].get("GPU", 0.0),
                "free_gpus": free[node].get("GPU", 0.0),
                "free_cpus": free[node].get("CPU", 0.0),
                "said": said[node][0].decode(errors="replace") if node in said else "",
                "complained": said[node][1].decode(errors="replace") if node in said else "",
                "status": said[node][2] if node in said else None,
            }
            for node, about in nodes.items()
            if node in alive  # Ray has noticed meanwhile that another one is gone
        ],
    }


def _free(ray: Any, nodes: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What nobody uses; what a client before us has just left is soon free."""
    until = time.monotonic() + _FREEING
    while True:
        found = ray._private.state.available_resources_per_node()
        free = {node: found.get(node, {}) for node in nodes}
        all_free = all(
            free[node].get(kind, 0) >= about["Resources"].get(kind, 0)
            for node, about in nodes.items()
            for kind in ("CPU", "GPU")
        )
        if all_free or time.monotonic() >= until:
            return free
        time.sleep(0.1)


def _on(node: str) -> dict[str, Any]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _known_as(ray: Any, nodes: list[str]) -> list[str | None]:
    """Their IDs now; None: it is gone."""
    alive = {n["NodeID"]: n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]}
    known = [node.partition("@") for node in nodes]
    ids = {node for node, *_ in known}
    at = {ip: node for node, ip in alive.items() if node not in ids}  # they have joined since
    return [node if node in alive else at.get(ip) for node, _, ip in known]


def _living(ray: Any, nodes: list[str], kind: str) -> str:
    """The first node, or where it is gone the one of the others that has most to give.

    Raises:
        ClusterError: none of them is left.
    """
    found = _known_as(ray, nodes)
    left = [node for node in found if node is not None]
    if not left:
        raise ClusterError("expected one of the nodes that the launch began with, found none alive")
    if found[0] is not None:
        return found[0]
    free = ray._private.state.available_resources_per_node()
    return max(left, key=lambda node: free.get(node, {}).get(kind, 0.0))


def _placed(ray: Any, script: str, gpus: int, cpus: int, nodes: list[str]) -> Any:
    """An actor that has what it needs. One that waits on another node goes home if that is back."""
    kind, count = ("GPU", gpus) if gpus else ("CPU", cpus)
    say_at = time.monotonic() + _QUEUED
    while True:
        node = _living(ray, nodes, kind)
        carrier: Any = ray.remote(Carrier)
        needed = {"num_gpus": gpus, "num_cpus": cpus, **_on(node)}
        actor = carrier.options(max_concurrency=2, **needed).remote(script)
        ready = actor.__ray_ready__.remote()
        while not ray.wait([ready], timeout=_MOVING)[0]:
            if time.monotonic() >= say_at:
                _log(f"an actor waits for {count} free {kind}{'s' * (count > 1)}; see: ray status")
                say_at += _QUEUED
            if _known_as(ray, nodes)[0] not in (None, node):
                break
        else:
            ray.get(ready)
            return actor
        ray.kill(actor)


def carry(address: str, script: str, gpus: int, cpus: int, nodes: list[str], outgoing: int) -> None:
    """Be the worker's client until either end ends.

    Raises:
        ClusterError: what is between has.
    """
    _log(f"connecting to the Ray cluster at {address}, for at most {_CONNECTING} s")
    ray = connect(address)
    try:
        actor = _placed(ray, script, gpus, cpus, nodes)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the agent hears of it, and has a last word
        threading.Thread(target=_write, args=(ray, actor), daemon=True).start()
        ended = False
        while not ended:
            said, complained, ended = ray.get(actor.read.remote(), timeout=_SILENT)
            _put(outgoing, said)
            with contextlib.suppress(OSError):  # of a log on a full disk; the worker goes on
                _put(2, complained)
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterError(f"the actor says nothing any more ({error})") from None
    except ray.exceptions.RayError as error:
        raise ClusterError(f"Ray has lost the actor: {error}") from None


def _write(ray: Any, actor: Any) -> None:
    """To the actor, what comes in; the end of that is its agent's."""
    with contextlib.suppress(ray.exceptions.RayError):  # whoever reads from it says so
        data = b"more"
        while data:
            data = os.read(0, _PART)
            ray.get(actor.write.remote(data))


def _put(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, as stdin says too
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _log(line: str) -> None:
    with contextlib.suppress(OSError):  # the disk may be full
        os.write(2, f"{line}\n".encode())


def main(what: str, address: str, script: str, *more: str) -> int:
    """Do what the arguments say."""
    outgoing = os.dup(1)
    os.dup2(2, 1)  # whatever prints goes to the log
    try:
        if what == "survey":
            _put(outgoing, json.dumps(survey(address, script)).encode())
        else:
            gpus, cpus, nodes = more
            carry(address, script, int(gpus), int(cpus), nodes.split(","), outgoing)
    except ClusterError as error:
        if what == "survey":
            _put(outgoing, json.dumps({"problem": str(error)}).encode())
        _log(str(error))
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))  # its connection ends with it, and with that its actor
