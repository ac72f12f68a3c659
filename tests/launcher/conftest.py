"""A machine with the GPUs that a test wants: the fake NVML of tests/fakes/pynvml.py."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that replaces the machine: a list of GPUs, and facts on its NVML."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "fakes")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    def set_machine(gpus: list[dict[str, Any]], **facts: Any) -> None:
        monkeypatch.setenv("FAKE_NVML", json.dumps({"gpus": gpus, **facts}))

    yield set_machine
    sys.modules.pop("pynvml", None)  # the next test may want the real one
