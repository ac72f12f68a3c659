"""What counts as a full disk, whoever says so and however."""

import errno

import pytest

from journal_launcher.base.errors import (
    IdentityError,
    ResumableStop,
    UsageError,
    is_full_disk,
    limit_met,
)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/data/x"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: File too large (os error 27)"),
        RuntimeError('(Error 28: No space left on device) can\'t write 9 bytes to "x.cbm"'),
        ValueError("cannot save: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_known_by_number_or_by_words(error: Exception) -> None:
    assert is_full_disk(error)
    assert "make room and type the same command again" in str(ResumableStop.of_full_disk(error))


@pytest.mark.parametrize(
    "error",
    [ValueError("File too large to parse"), OSError(errno.EACCES, "Permission denied"), OSError()],
)
def test_other_troubles_are_not(error: Exception) -> None:
    assert not is_full_disk(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "`ulimit -u`"),
        (RuntimeError("can't start new thread"), "`ulimit -u`"),
        (RuntimeError("Thread creation failed: Resource temporarily unavailable"), "`ulimit -u`"),
        (MemoryError(), "no memory is left"),
        (RuntimeError("another one"), None),
        (BlockingIOError(errno.EAGAIN, "write could not complete without blocking"), None),
        (OSError(), None),
    ],
)
def test_a_limit_that_was_met_is_known(error: Exception, expected: str | None) -> None:
    said = limit_met(error)
    assert said == expected or (said is not None and expected is not None and expected in said)


@pytest.mark.parametrize("kind", [UsageError, IdentityError])
def test_what_a_message_quotes_cannot_break_its_line_or_paint_the_terminal(
    kind: type[UsageError],
) -> None:
    said = str(kind("no column a\nb\r\x1b[31m\x9b1m\u2028c; there are 'é', '日本'"))
    assert said == "no column a\\nb\\r\\x1b[31m\\x9b1m\\u2028c; there are 'é', '日本'"
