"""An sshd on a loopback port of its own, two names for it, and an `ssh` that knows them."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher.harness import wait_until

__all__ = ["HOSTS", "Server", "gpus_of", "reachable", "running_server"]

_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin"
_NEEDED = ("ssh", "ssh-keygen", "sshd")
HOSTS = ("node-a", "node-b")

_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/hostkey
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
MaxStartups 100:30:200
MaxSessions 100
SetEnv HOME={folder}
Subsystem sftp internal-sftp
AcceptEnv TEST_NAME FAKE_NVML PYTHONPATH TMPDIR XDG_RUNTIME_DIR LD_LIBRARY_PATH
"""
# As a user's: with a connection that is to be shared, and a login that only works by a password.
_SSH = """\
Host node-a node-b a b denied
  HostName 127.0.0.1
  Port {port}
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
Host node-a node-b denied
  ControlMaster auto
  ControlPath {folder}/shared-%C
  ControlPersist 60
  RemoteCommand echo wrong
Host node-a node-b a b
  IdentityFile {folder}/key
"""


class Server:
    """Its hosts are the ones in `HOSTS`, and `a` and `b`, with a configuration in which nothing is
    in the way; `denied` lets nobody in.

    hidden: a folder of this machine that the hosts do not see.
    """

    def __init__(self, folder: Path, hidden: Path | None = None) -> None:
        self.folder = folder
        self._hidden = hidden
        self._sshd: Any = None

    def start(self) -> None:
        folder = self.folder
        for name in ("key", "hostkey"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "key.pub", folder / "authorized_keys")
        (folder / ".bashrc").write_text("echo Welcome\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "sshd_config").write_text(_SSHD.format(folder=folder, port=port))
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself up
        command = [
            str(shutil.which("sshd", path=_SBIN)),
            "-D",
            "-e",
            "-f",
            str(folder / "sshd_config"),
        ]
        if self._hidden is not None:
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", hide, str(self._hidden), *command]
        with open(folder / "sshd.log", "ab") as log:
            self._sshd = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: _answers(port))
        (folder / "ssh_config").write_text(_SSH.format(folder=folder, port=port))

    def client(self, folder: Path, hosts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """What finds an `ssh` that knows the hosts, and gives each its environment."""
        folder.mkdir()
        config = (self.folder / "ssh_config").read_text()
        for host, variables in hosts.items():
            given = " ".join(map(_quoted, {"TEST_NAME": host, **variables}.items()))
            config += f"Host {host}\n  SetEnv {given}\n"
        (folder / "config").write_text(config)
        own = folder / "ssh"
        arguments = f"{shutil.which('ssh')} -F {shlex.quote(str(folder / 'config'))}"
        own.write_text(f'#!/bin/sh\nexec {arguments} "$@"\n')
        own.chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    def sessions(self) -> list[psutil.Process]:
        """The processes of sshd that serve a connection, outermost first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._sshd.pid).children()
        return []

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """It serves whom it serves, and answers nobody else."""
        self._sshd.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._sshd.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.sessions():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        self._sshd.terminate()
        self._sshd.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def running_server(hidden: Path | None = None) -> Iterator[Server]:
    """A server, as long as the block lasts; where there is no sshd, the test is skipped."""
    missing = [name for name in _NEEDED if shutil.which(name, path=_SBIN) is None]
    missing += ["root"] * (os.geteuid() != 0)
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"no {', '.join(missing)}: apt-get install openssh-server")
    assert not missing, f"missing: {missing}"
    folder = Path(tempfile.mkdtemp(prefix="jl-ssh-", dir="/tmp"))  # sshd reads no spaces
    server = Server(folder, hidden)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def reachable(
    server: Server, folder: Path, given: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, str]]:
    """The environment of a user who can reach the hosts, on which nothing is left at the end.

    folder: has a TMPDIR for each. given: what else each has in its environment, by name; further
    names are further hosts.
    """
    own = {}
    for host in {*HOSTS, *given}:
        (folder / host).mkdir(exist_ok=True)
        own[host] = {"TMPDIR": str(folder / host), **given.get(host, {})}
    yield server.client(folder / "bin", own)
    wait_until(lambda: not server.sessions())
    # An agent outlives its session by the moment in which it removes its folder.
    wait_until(lambda: not list(folder.glob("*/journal-launcher-*/*")))
    assert not list(server.folder.glob("shared-*"))  # no connection that others would share


def _quoted(variable: tuple[str, str]) -> str:
    text = "=".join(variable).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def gpus_of(host: str, count: int, **more: Any) -> list[dict[str, Any]]:
    """Fake ones, of which no other host has any."""
    digit = str(HOSTS.index(host) + 1)
    return [
        {"uuid": f"GPU-{digit * 7}{n}-0000-4000-8000-000000000000", "name": "NVIDIA H100", **more}
        for n in range(count)
    ]
