"""An sshd on a loopback port of its own, two names for it, and an `ssh` that knows them."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

__all__ = ["HOSTS", "NEEDED", "SSHD", "Server", "running_server"]

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NEEDED = ("ssh", "ssh-keygen")
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
AcceptEnv TEST_NAME FAKE_NVML PYTHONPATH TMPDIR XDG_RUNTIME_DIR LD_LIBRARY_PATH
"""
# As a user's: with a connection that is to be shared, and a login that only works by a password.
_SSH = """\
Host node-a node-b denied
  HostName 127.0.0.1
  Port {port}
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
  ControlMaster auto
  ControlPath {folder}/shared-%C
  ControlPersist 60
  RemoteCommand echo wrong
Host node-a node-b
  IdentityFile {folder}/key
"""


class Server:
    """Its hosts are the ones in `HOSTS`; `denied` lets nobody in.

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
        command = [str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")]
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
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert time.monotonic() < until, (folder / "sshd.log").read_text()
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


@contextlib.contextmanager
def running_server(folder: Path, hidden: Path | None = None) -> Iterator[Server]:
    """A server, as long as the block lasts."""
    server = Server(folder, hidden)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
