"""One script: what is read of its output, and that nothing of it is left."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from journal_launcher.worker import script as module
from journal_launcher.worker.jobs.base import TrialFailedError
from journal_launcher.worker.script import Line, Script


def run(code: str, **more: str) -> tuple[list[Line], int, str]:
    environment = {**os.environ, **more}
    with Script([sys.executable, "-c", code], environment) as script:
        lines = list(script.lines())
        return lines, script.exit_status, script.tail(more)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_lines_of_both_streams_and_the_exit_status(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); print('é', end=''); exit(3)"
    lines, status, tail = run(code, PYTHONUNBUFFERED="1")
    assert {(line.text, line.is_stdout) for line in lines} == {
        *{("one", True), ("é", True), ("two", False)}
    }
    assert status == 3 and sorted(tail.split("\n")) == ["one", "two", "é"]
    assert capfd.readouterr() == ("one\né", "two\n")  # and all of it is passed on as it came


def test_a_progress_bar_is_overwritten() -> None:
    code = "import sys; sys.stdout.write('1%\\r50%\\rdone\\r\\n100% \\r'); sys.stdout.flush()"
    lines, _, tail = run(code)
    assert [(line.text, line.overwritten) for line in lines] == [
        *[("1%", True), ("50%", True), ("done", False), ("100% ", False)]
    ]
    assert tail == "done\n100%"


def test_bytes_that_are_no_text_and_a_line_without_end() -> None:
    code = "import os; os.write(1, b'\\xff\\n' + b'x' * 300_000 + b'\\nlast\\n')"
    lines, _, tail = run(code)
    assert lines[0].text == "\N{REPLACEMENT CHARACTER}" and lines[-1].text == "last"
    assert all(len(line.text) <= 1 << 16 for line in lines)
    assert len(tail) <= 1500


def test_the_tail_is_short_and_names_the_environment_instead_of_quoting_it() -> None:
    code = "import os; [print(i) for i in range(99)]; print('key', os.environ['MY_KEY'], 'abc')"
    _, _, tail = run(code, MY_KEY="hunter2\nsecond half", SHORT="abc")
    assert tail.splitlines()[-3:] == ["98", "key $MY_KEY", "$MY_KEY abc"]
    assert len(tail.splitlines()) == 10


def test_output_is_read_while_the_script_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"import os; print('first', flush=True)\nwhile not os.path.exists({str(go)!r}): pass"
    with Script([sys.executable, "-c", code], os.environ) as script:
        for line in script.lines():
            assert line.text == "first"
            go.touch()
        assert script.exit_status == 0


@pytest.mark.parametrize("flag", ["False", "True"], ids=["in the group", "in its own session"])
def test_leaving_ends_the_whole_tree(
    flag: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A child that ignores SIGTERM goes with SIGKILL, also if its parent went before it."""
    monkeypatch.setattr(module, "GRACE", 0.5)
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
    child += "time.sleep(1000)"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session={flag})
print(child.pid, flush=True)
time.sleep(1000)
"""
    pids = []
    with Script([sys.executable, "-c", code], {**os.environ}) as script:
        pids.append(script._process.pid)
        for line in script.lines():
            if line.text == "deaf":
                break
            pids.append(int(line.text))
        else:
            raise AssertionError("it ended by itself")
    assert len(pids) == 2 and not any(map(lives, pids))


def test_what_a_script_leaves_behind_ends_with_it_and_is_not_awaited() -> None:
    began = time.monotonic()
    with Script(["sh", "-c", "sleep 1000 & echo $!"], os.environ) as script:
        (line,) = script.lines()
        assert script.exit_status == 0 and lives(int(line.text))
    assert not lives(int(line.text)) and time.monotonic() - began < 5


def test_a_script_may_close_its_output_and_go_on() -> None:
    lines, status, _ = run(
        "import os, time; os.close(1); os.close(2); time.sleep(0.2); os._exit(4)"
    )
    assert (lines, status) == ([], 4)


def test_a_script_reads_nothing_from_the_launchs_terminal() -> None:
    assert texts(run("import sys; print(repr(sys.stdin.read()))")[0]) == ["''"]


def test_a_program_that_cannot_start_says_why() -> None:
    with pytest.raises(TrialFailedError, match="cannot start nowhere: No such file or directory"):
        Script(["nowhere"], os.environ)


def test_a_program_for_which_there_is_no_process_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess.Popen, "_execute_child", refuse)
    with pytest.raises(TrialFailedError, match=r"cannot start true: no more .*`ulimit -u`.*again"):
        Script(["true"], os.environ)
