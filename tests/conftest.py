"""What tests of whole launches and of devices share."""

import compileall
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# As in a worker. It is read when the libraries load, which some test files do while they are
# collected; eager threads on a busy machine take minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings
from launcher.harness import ROOT, Workshop

# How long a draw takes says how busy the machine is, not whether a test is right.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# What `./launch.sh test` was typed as must not decide how the program names itself in the tests.
os.environ.pop("JOURNAL_LAUNCHER_TYPED", None)

# Under nohup, or in the background of a script, signals arrive ignored and would stay so in the
# launches that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# Scripts end what is left in their process group: that must be nothing of the test beside this one.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.setpgid(0, 0)

# A thousand Pythons read it: none may have to compile it, nor leave half a file on a full disk.
compileall.compile_dir(ROOT / "journal_launcher", quiet=1)


def pytest_addoption(parser: pytest.Parser) -> None:
    said = "run the tests in tests/gpu in a small size on the CPU, as far as one can"
    parser.addoption("--cpu", action="store_true", help=said)


@pytest.fixture(scope="session", autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Launches of tests that run beside these, on fake GPUs of the same names, are no concern."""
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("runtime"))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """A folder for one study's launches. A second afterwards no process may be left of them."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)  # processes are found by their directory
    shop = Workshop(folder)
    yield shop
    deadline = time.monotonic() + 1
    while (left := shop.processes()) and time.monotonic() < deadline:
        pass  # a killed guard is reaped by init, when it gets to it
    for process in left:
        process.kill()
    assert left == []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that replaces the machine: a list of GPUs, and facts on its NVML.

    They are those of the fake NVML in tests/fakes/pynvml.py.
    """
    monkeypatch.syspath_prepend(Path(__file__).parent / "fakes")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    def set_machine(gpus: list[dict[str, Any]], **facts: Any) -> None:
        monkeypatch.setenv("FAKE_NVML", json.dumps({"gpus": gpus, **facts}))

    yield set_machine
    sys.modules.pop("pynvml", None)  # the next test may want the real one
