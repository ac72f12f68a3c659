"""Each line of a worker's log says of which trial it is."""

import io
import sys

import pytest

from journal_launcher.worker.numbered_lines import NumberedLines, of_trial


@pytest.fixture
def log() -> io.BytesIO:
    return io.BytesIO()


def stream(log: io.BytesIO) -> NumberedLines:
    return NumberedLines(io.TextIOWrapper(log, "utf-8", "backslashreplace", write_through=True))


def test_every_line_of_a_trial_begins_with_its_number(log: io.BytesIO) -> None:
    out = stream(log)
    print("before", file=out)
    with of_trial(3):
        print("one", 2, file=out)
        print("two\nthree\n\nfour", file=out)
        print("epoch", end=" ", file=out)
        print("five", file=out)
        out.writelines(["six\n", "seven\n"])
        print("", end="", file=out)
    with of_trial(4):
        print("eight", file=out)
    print("after", file=out)
    lines = log.getvalue().decode().splitlines()
    said = ["one 2", "two", "three", "", "four", "epoch five", "six", "seven"]
    expected = ["before", *(f"[trial 3] {text}" for text in said), "[trial 4] eight", "after"]
    assert lines == expected


def test_a_line_that_began_before_the_trial_is_not_cut(log: io.BytesIO) -> None:
    out = stream(log)
    out.write("loading")
    with of_trial(3):
        assert out.write(" ...\n10%\r20%") == len(" ...\n10%\r20%")
    out.write("\nready\n")
    assert log.getvalue() == b"loading ...\n[trial 3] 10%\r20%\nready\n"


def test_it_is_a_stream_like_the_one_below(log: io.BytesIO) -> None:
    out = stream(log)
    assert (out.encoding, out.errors, out.buffer) == ("utf-8", "backslashreplace", log)
    out.write("\udcff\n")
    assert log.getvalue() == b"\\udcff\n"
    with pytest.raises(TypeError):
        out.write(b"bytes")  # type: ignore[arg-type]
    ours = NumberedLines(sys.__stderr__)
    assert ours.fileno() == sys.__stderr__.fileno()  # type: ignore[union-attr]
    ours.detach()
