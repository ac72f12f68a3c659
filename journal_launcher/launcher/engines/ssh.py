"""Workers on machines that the user reaches by ssh, with their own keys and configuration.

A connection a worker, none shared: the end of its ssh is the end of the worker.
"""

import shlex
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from journal_launcher.base.channel import is_message
from journal_launcher.devices.cpus import threads_per_worker
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines import host_survey
from journal_launcher.launcher.engines.carried import CarriedProcess, CarryingEngine, agent_command
from journal_launcher.settings.hosts import HERE, Host, parse_hosts
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["SshEngine", "SshProcess"]

# A shared connection would outlive its client, and could hang with another's. A connection that is
# frozen ends after 20 s. Nobody is here to type a password.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "LogLevel": "ERROR",
}
_LINGER = 2.0  # seconds that ssh may go on after the last word of its agent


class SshEngine(CarryingEngine):
    """Starts each worker on one of the hosts.

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
        self._hosts: tuple[Host, ...] = ()  # of each worker

    def plan(self) -> tuple[tuple[WorkerSpec, ...], tuple[str, ...]]:
        """One blueprint a free GPU of the hosts, or as many as were asked for; and notes.

        Raises:
            UsageError: a host cannot be reached, lacks something, or has no GPU free.
            JournalLauncherError: a signal has come.
        """
        asked = {host: self._command(host) for host in parse_hosts(self._settings.hosts or "")}
        found = host_survey.survey(
            self._settings, self._sources, asked, self._environment, self._sleep
        )
        placed, notes = host_survey.devices_of(self._settings, found)
        self._hosts = tuple(one.host for one, _ in placed)
        return tuple(
            WorkerSpec(
                index,
                device,
                threads_per_worker(one.cores, self._hosts.count(one.host)),
                self._environment,
            )
            for index, (one, device) in enumerate(placed)
        ), notes

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> "SshProcess":
        host = self._hosts[spec.index]
        carry = self._carry(launch, 0, host.name, with_environment=True)
        return SshProcess(spec, launch, log, self._command(host), carry)

    def _command(self, host: Host) -> list[str]:
        """What runs an agent there; its own shell has to understand single quotes, and no more."""
        if host.name == HERE:
            return list(agent_command())
        options = [f"-o{name}={value}" for name, value in _OPTIONS.items()]
        script = self._agent_script()
        remote = f"exec /bin/sh -c {shlex.quote(script)}"
        return ["ssh", "-T", "-x", *options, "--", host.name, remote]


class SshProcess(CarriedProcess):
    """A worker behind ssh."""

    _begun = False
    _ends_at: float | None = None

    def receive_lines(self) -> list[bytes]:
        lines = super().receive_lines()
        while lines and not self._begun:  # a start-up file of the shell that prints
            self._begun = is_message(lines[0])
            lines = lines if self._begun else lines[1:]
        return lines

    def has_exited(self) -> bool:
        """A process that the worker leaves behind keeps ssh waiting, for it has its output."""
        if self.said_how_it_ended and not super().has_exited():
            self._ends_at = self._ends_at or time.monotonic() + _LINGER
            if time.monotonic() >= self._ends_at:
                self._process.send_signal(signal.SIGTERM)
        return super().has_exited()
