"""What tests of whole launches share."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher.harness import Workshop

# What `./launch.sh test` was typed as must not decide how the program names itself in the tests.
os.environ.pop("JOURNAL_LAUNCHER_TYPED", None)

# Under nohup, or in the background of a script, signals arrive ignored and would stay so in the
# launches that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


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
