import pytest

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import Channel, LineBuffer


def test_a_message_comes_out_as_it_went_in() -> None:
    channel = Channel("abc", 3)
    line = channel.encode("grant", trial=None)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    message = channel.decode(line)
    assert message == {
        "v": 1,
        "type": "grant",
        "launch": "abc",
        "worker": 3,
        "trial": None,
    }
    assert Channel.of_spec(line) == channel


@pytest.mark.parametrize(
    "line", [b"", b"hello", b"[1]", b'{"v":1}', b'{"v":2,"launch":"abc"}', b'{"v":1,"launch":"x"}']
)
def test_anything_else_is_an_error_that_names_the_worker(line: bytes) -> None:
    with pytest.raises(JournalLauncherError, match="worker 3: expected"):
        Channel("abc", 3).decode(line)


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    text = b'{"a":1}\n\n{"b":2}\n{"c":3'
    for size in range(1, len(text)):
        buffer, lines = LineBuffer(), []
        for start in range(0, len(text), size):
            lines += buffer.feed(text[start : start + size])
        assert lines == [b'{"a":1}', b'{"b":2}']


@pytest.mark.timeout(60)  # copying what is there already with each chunk would take many minutes
def test_a_line_of_a_hundred_megabytes_is_one_line() -> None:
    buffer, chunk = LineBuffer(), b"x" * (1 << 16)
    for _ in range(1600):
        assert buffer.feed(chunk) == []
    (line,) = buffer.feed(b'\n{"a":1}')
    assert len(line) == 1600 << 16
    assert buffer.feed(b"\n") == [b'{"a":1}']
