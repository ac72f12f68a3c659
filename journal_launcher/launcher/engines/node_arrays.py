"""A table's arrays on a node that does not see the studies folder: they travel there once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import DeviceError, JournalLauncherError
from journal_launcher.base.messages import File
from journal_launcher.launcher.engines.parcels import keep
from journal_launcher.launcher.engines.scratch import SharedFolder

__all__ = ["NodeArrays"]


class NodeArrays:
    """Those of one prepared table, under the hash of their content.

    content: of the `Preparation`; its `files` are the hash of each. directory: where the workers of
    this node find them, and put what they derive from them beside.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._files: dict[str, str] = content["files"]
        words = "".join(f"{name} {digest}\n" for name, digest in sorted(self._files.items()))
        digest = hashlib.sha256(words.encode()).hexdigest()
        self._shared = SharedFolder(f"table-{digest[:32]}")
        self.directory = self._shared.path / Path(content["directory"]).name
        self.filling = False

    def take(self) -> bool | None:
        """Are they there? False: they are ours to fetch. None: another agent does; ask again.

        Raises:
            OSError: there is no place for them.
        """
        there = self._shared.take()
        if there is False:
            self.directory.mkdir(mode=0o700)
            self.filling = True
        return there

    def keep(self, part: File) -> None:
        """Write a part.

        Raises:
            OSError: the disk is full.
        """
        if not self.filling or part.name not in self._files:
            raise JournalLauncherError(f"unexpected file {part.name!r}")
        keep(part, self.directory)

    def complete(self) -> None:
        """All has been sent: let the others use it.

        Raises:
            DeviceError: it is not what was announced.
        """
        for name, expected in self._files.items():
            with open(self.directory / name, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise DeviceError(
                    f"{self.directory / name}: expected the SHA-256 {expected[:16]}…, as it was "
                    f"prepared, found {found[:16]}… after it was sent"
                )
        self._shared.filled()
        self.filling = False

    def leave(self) -> None:
        """No worker uses them any more; the last agent of the node removes them."""
        self._shared.leave()
