"""A process is dead only with proof: recycled pids, reboots, containers, other hosts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from journal_launcher.study import owner as module
from journal_launcher.study.owner import Owner, owner_of

ME = Owner.this_process("launch", 3)


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def owner_with(pid: int) -> Owner:
    return replace(ME, pid=pid, started=module._started(pid))


def test_this_process_lives() -> None:
    assert not ME.is_dead()
    assert str(ME) == f"worker 3 (pid {os.getpid()} on {ME.host})"


def test_a_killed_process_is_dead_even_before_it_is_collected(
    child: "subprocess.Popen[bytes]",
) -> None:
    owner = owner_with(child.pid)
    assert not owner.is_dead()
    child.send_signal(signal.SIGSTOP)
    assert not owner.is_dead()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_dead()  # a zombie
    child.wait()
    assert owner.is_dead()


def test_a_recycled_pid_is_somebody_else(child: "subprocess.Popen[bytes]") -> None:
    owner = owner_with(child.pid)
    assert replace(owner, started=owner.started - 1).is_dead()


def test_a_jump_of_the_clock_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert not ME.is_dead()
    assert Owner.this_process("launch", 3) == ME


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"boot": "another boot"}, True),
        ({"boot": "another boot", "host": "elsewhere"}, False),
        ({"namespace": "pid:[1]"}, True),
        ({"host": "renamed since"}, False),
        ({"boot": "another boot", "host": "elsewhere", "via": "parent"}, True),
    ],
)
def test_where_it_ran_decides(change: dict[str, str], dead: bool) -> None:
    assert replace(ME, **change).is_dead() is dead  # type: ignore[arg-type]


def test_a_name_with_spaces_and_parentheses_is_read() -> None:
    rename = "ctypes.CDLL(None).prctl(15, b'a) Z 1 (b', 0, 0, 0)"
    code = f"import ctypes; {rename}; print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"1\n"
        assert not owner_with(process.pid).is_dead()
        process.kill()


def test_the_owner_survives_json_and_others_are_nobody() -> None:
    assert owner_of({"jl_owner": ME.to_json()}) == ME
    assert owner_of({}) is None
    assert owner_of({"jl_owner": None}) is None
    assert owner_of({"jl_owner": {**ME.to_json(), "more": 1}}) is None
    assert owner_of({"jl_owner": "me"}) is None
