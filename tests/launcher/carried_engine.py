"""An engine for tests: the agent runs here, and what carries its lines is the agent itself."""

from pathlib import Path
from typing import Any

from journal_launcher.base.messages import Carry
from journal_launcher.launcher import launch
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.carried import CarriedProcess, agent_command

__all__ = ["CarriedEngine", "install"]


class CarriedEngine:
    """Starts an agent on this machine, behind `client`."""

    through_parent = has_agents = True
    places_known = False
    client: tuple[str, ...] = ()
    sources: dict[str, Any] = {}  # noqa: RUF012, tests replace it
    blind: tuple[int, ...] = ()  # workers whose node does not see the studies folder
    places = ("", "")  # the launch's folder, and what stands for it on the node

    def __init__(self, given: int | None = None) -> None:
        assert given is None, "a function of this process alone goes nowhere"

    def sees(self, spec: WorkerSpec) -> bool:
        """Does the worker's node see the studies folder?"""
        return spec.index not in self.blind

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> CarriedProcess:
        lease = launch if self.sees(spec) else "another"
        client = (*self.client, *agent_command())
        carry = Carry(lease, self.sources, 0, *self.places)
        return CarriedProcess(spec, launch, log, client, carry)


def install() -> None:
    """Let every launch of this process use it."""
    launch.LocalEngine = CarriedEngine  # type: ignore[assignment, misc]
