"""What a power loss would find: the steps towards the disk, in their order."""

import os
from pathlib import Path
from typing import Any

import pytest

_STEPS = ("fsync", "ftruncate", "link", "replace", "unlink", "write")


def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps from here on, each with the name of its file (of a link or rename: the new one).

    What only fails when the machine loses power can be seen in no other way.
    """
    steps: list[str] = []

    def noted(step: str) -> Any:
        function = getattr(os, step)

        def call(*given: Any, **more: Any) -> Any:
            target = given[1] if step in ("link", "replace") else given[0]
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            name = Path(path).name
            result = function(*given, **more)
            steps.append(f"{step} {'temporary' if name.startswith('.') else name}")
            return result

        return call

    for step in _STEPS:
        monkeypatch.setattr(os, step, noted(step))
    return steps
