"""The machines that `--hosts` names, and how many workers each shall have."""

import re

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError

__all__ = ["HERE", "Host", "parse_hosts"]

HERE = "localhost"  # which no ssh is needed for
_HOST = re.compile(r"(?P<name>[^\s:,-][^\s:,]*)(?::(?P<count>[1-9][0-9]{0,3}))?")


@dataclass(frozen=True)
class Host:
    """A machine as `ssh` knows it, user included; `count`: workers, None: one a free GPU."""

    name: str
    count: int | None

    @property
    def label(self) -> str:
        """For people: without the user."""
        return self.name.rpartition("@")[2]

    def __str__(self) -> str:
        return self.name if self.count is None else f"{self.name}:{self.count}"


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Read `a,me@b:2`.

    Raises:
        UsageError: malformed, or a host is named twice.
    """
    hosts: list[Host] = []
    for part in map(str.strip, text.split(",")):
        found = _HOST.fullmatch(part)
        if found is None:
            raise UsageError(
                "--hosts: expected machines as ssh knows them, such as a,b:2 (two workers on b; "
                f"ports belong into ~/.ssh/config), found {part!r} in {text!r}"
            )
        name, count = found["name"], found["count"]
        if any(host.label == name.rpartition("@")[2] for host in hosts):
            raise UsageError(f"--hosts: {name} is in {text!r} twice; {name}:2 is two workers there")
        hosts.append(Host(name, int(count) if count else None))
    return tuple(hosts)
