"""Which view is chosen, and that it outlives its stderr. Real processes, real terminals."""

import io
import os
import pty
import select
import subprocess
import sys
import time

import pytest
from rich.console import Console

from journal_launcher.base.events import Note
from journal_launcher.views.live import LiveView
from journal_launcher.views.plain import PlainView
from journal_launcher.views.view import choose_view, make_view, stderr_console

CHATTER = """
import sys
from journal_launcher.base.events import Note
from journal_launcher.views.view import make_view
with make_view(sys.stderr.isatty(), quiet=False, verbosity=0) as view:
    view(Note("begun"))
    sys.stdin.readline()
    for n in range(100):
        view(Note(f"note {{n}}"))
    {last}
print("result")
"""


def chatter(stderr: int, last: str = "pass") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", CHATTER.format(last=last)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "TERM": "xterm"},
    )


def read_until(source: int, wanted: bytes, seconds: float = 30.0) -> bytes:
    """What `source` says until it has said `wanted`."""
    deadline, text = time.monotonic() + seconds, b""
    while wanted not in text and time.monotonic() < deadline:
        if select.select([source], [], [], 0.5)[0]:
            text += os.read(source, 65536)
    assert wanted in text
    return text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_launch_outlives_its_stderr(terminal: bool) -> None:
    reader, writer = pty.openpty() if terminal else os.pipe()
    process = chatter(writer)
    os.close(writer)
    read_until(reader, b"begun")
    os.close(reader)
    stdout, _ = process.communicate(b"go on\n", timeout=60)
    assert (process.returncode, stdout) == (0, b"result\n")


def test_an_interrupt_gives_the_cursor_back() -> None:
    reader, writer = pty.openpty()
    process = chatter(writer, last="raise KeyboardInterrupt")
    os.close(writer)
    assert process.stdin is not None
    process.stdin.write(b"go on\n")
    process.stdin.flush()
    said = read_until(reader, b"KeyboardInterrupt\r\n")
    process.communicate(timeout=60)
    os.close(reader)
    assert b"\x1b[?25l" in said
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(term: str, stderr_is_terminal: bool) -> type:
        monkeypatch.setenv("TERM", term)
        console = Console(file=io.StringIO(), force_terminal=True)
        return type(choose_view(stderr_is_terminal, 0, console))

    assert kind("xterm", True) is LiveView
    assert kind("dumb", True) is PlainView
    assert kind("xterm", False) is PlainView


def test_quiet_draws_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with make_view(stderr_is_terminal=False, quiet=True, verbosity=0) as view:
        view(Note("hot", "warning"))
    assert capfd.readouterr() == ("", "")


def test_a_terminal_of_unknown_width_is_printed_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    stderr_console().print("a line")
    assert capsys.readouterr().err == "a line\n"
