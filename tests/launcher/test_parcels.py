"""Folders in messages: whole at the other end, and never in memory whole."""

import hashlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher.harness import wait_until
from launcher.test_engine import AGENT

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import (
    Carry,
    File,
    Note,
    Open,
    Placed,
    Preparation,
    Records,
    Spec,
    Whole,
)
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.carried import CarriedProcess
from journal_launcher.launcher.engines.parcels import keep, parcels_of_trial
from journal_launcher.settings.launch_settings import LaunchSettings

# Says "note" for each answer of the journal, and what it is told to open.
WORKER = """
import json, sys
with open(int(sys.argv[1])) as heard, open(int(sys.argv[2]), "w") as said:
    for line in heard:
        message = json.loads(line)
        if message["type"] == "records":
            message |= {"type": "note", "text": message["lines"]}
        elif message["type"] == "open":
            message |= {"type": "note", "text": message["prepared"]["content"]["directory"]}
        else:
            continue
        said.write(json.dumps(message, separators=(",", ":")) + "\\n")
        said.flush()
"""
MEGABYTE = 1 << 20


def files_of(folder: Path) -> dict[str, Any]:
    """What is in a folder: bytes of files, targets of links, None for folders."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def test_a_trials_folder_arrives_as_it_was(tmp_path: Path, capfd: Any) -> None:
    source, target = tmp_path / "a source", tmp_path / "target"
    (source / "in" / "deep").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "nothing").touch()
    (source / "in" / "big").write_bytes(os.urandom(3 * MEGABYTE))
    os.utime(source / "in" / "big", (1e9, 1e9))
    (source / "latest").symlink_to(source / "in" / "big")
    (source / "in" / "deep" / "up").symlink_to("../../nothing")
    expected = files_of(source) | {"latest": "in/big"}
    (source / "outside").symlink_to("/etc/passwd")
    (source / "gone").symlink_to("no such file")
    os.mkfifo(source / "fifo")
    target.mkdir()
    *parts, last = parcels_of_trial(source, 7)
    for part in parts:
        assert isinstance(part, File) and part.trial == 7 and len(part.data) < MEGABYTE
        keep(part, target)
    assert last == Whole(7)
    assert files_of(target) == expected
    assert (target / "in" / "big").stat().st_mtime == 1e9
    said = capfd.readouterr().err
    assert all(name in said for name in ("outside", "gone", "fifo"))


@pytest.mark.parametrize(
    "part",
    [
        File("/etc/x", "file", "", 0.0, 1),
        File("../x", "file", "", 0.0, 1),
        File("a/../../x", "folder", "", 0.0, 1),
        File("", "file", "", 0.0, 1),
        File("x", "link", "/etc/passwd", 0.0, 1),
        File("x", "link", "../x", 0.0, 1),
    ],
)
def test_nothing_is_kept_elsewhere(tmp_path: Path, part: File) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(JournalLauncherError, match="unexpected"):
        keep(part, tmp_path / "here")
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        keep(File("x", "file", "", 0.0, 1), tmp_path / "here")
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def blind(tmp_path: Path) -> Iterator[CarriedProcess]:
    """A worker behind a real agent that does not see the studies folder, once it runs."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "worker.py").write_text(WORKER)
    program = tmp_path / "agent.py"
    text = AGENT.format(worker=str(tmp_path / "worker.py"), folder=str(tmp_path / "tmp"))
    program.write_text(text)
    spec = WorkerSpec(0, CPU, 1, dict(os.environ))
    client = [sys.executable, "-P", str(program)]
    process = CarriedProcess(spec, "launch", tmp_path / "0.log", client, Carry("launch", {}, 0))
    settings = LaunchSettings(objective="pkg:f").to_json()
    process.send(Spec(settings, str(tmp_path), "study", "CPU", None, 1, prepare=False))
    heard: list[Any] = []
    wait_until(lambda: heard.extend(process.receive()) or bool(heard), 60)
    assert isinstance(heard[0], Placed) and not heard[0].sees
    yield process
    if not process.has_exited():
        process.reap(10)


def prepared(folder: Path, size: int) -> Preparation:
    """Arrays of so many bytes, whatever they say."""
    (folder / "cache" / "a table").mkdir(parents=True)
    with open(folder / "cache" / "a table" / "x.npy", "wb") as file:
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))
    directory = folder / "cache" / "a table"
    with open(directory / "x.npy", "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    content = {"files": {"x.npy": digest}, "directory": str(directory)}
    return Preparation(Identity(), content=content)


def carried(process: CarriedProcess, seconds: float = 120) -> list[tuple[float, str]]:
    """What is said, and when, until the worker has opened the table; as a pool would listen."""
    heard: list[tuple[float, str]] = []
    until = time.monotonic() + seconds
    asked = 0
    while not any("a table" in text for _, text in heard):
        assert time.monotonic() < until and not process.has_exited()
        writing = [process.out_descriptor] if process.unsent else []
        select.select([process.messages_descriptor], writing, [], 1)
        process.send_rest()
        assert len(process.unsent) < 2 * MEGABYTE
        said = [message for message in process.receive() if isinstance(message, Note)]
        heard += [(time.monotonic(), message.text) for message in said]
        if asked == len([text for _, text in heard if text == "asked"]):  # one question at a time
            asked += 1
            process.send(Records(asked, "asked", 0, False, None, None))
    return heard


def test_a_large_table_takes_little_memory_and_lets_others_pass(
    blind: CarriedProcess, tmp_path: Path
) -> None:
    agent = psutil.Process(blind.pid)
    before = agent.memory_info().rss
    blind.send(Open(prepared(tmp_path, 32 * MEGABYTE), 0))
    heard = carried(blind)
    assert len(heard) > 5, "the journal is answered all the time"
    assert agent.memory_info().rss < before + 16 * MEGABYTE
    there = Path(heard[-1][1] if "a table" in heard[-1][1] else heard[-2][1])
    assert files_of(there) == files_of(tmp_path / "cache" / "a table")


def test_what_does_not_arrive_as_it_was_is_a_lost_worker(
    blind: CarriedProcess, tmp_path: Path
) -> None:
    found = prepared(tmp_path, 2 * MEGABYTE)
    found.content["files"]["x.npy"] = "0" * 64
    blind.send(Open(found, 0))
    said: list[Any] = []

    def ended() -> bool:
        blind.send_rest()
        said.extend(blind.receive())
        return blind.has_exited()

    wait_until(ended, 60)
    said += blind.receive()
    (why,) = said
    assert why.type == "unusable" and "expected the SHA-256 0000" in why.message
    assert blind.reap(10) is not None and not blind.lost


def test_what_waits_is_dropped_when_nobody_reads_it(blind: CarriedProcess, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "big").write_bytes(bytes(8 * MEGABYTE))
    os.kill(blind.pid, signal.SIGKILL)
    wait_until(blind.has_exited)
    blind.give(3, tmp_path / "folder")
    wait_until(lambda: blind.send_rest() is None and not blind.unsent)
    blind.reap(10)
