"""In which encoding a text table is: by its first bytes, UTF-8, or Windows-1252 where certain."""

import re
from pathlib import Path

from journal_launcher.base import memory
from journal_launcher.base.data_text import open_text

__all__ = ["WESTERN", "WESTERN_NOTE", "NotUTF8", "decoded", "marked_encoding", "western_text"]

WESTERN = "Windows-1252"
WESTERN_NOTE = (
    f"not UTF-8: read as {WESTERN} (Western European); if letters look wrong, convert the file "
    "with iconv -f ENCODING -t utf-8"
)
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class NotUTF8(ValueError):
    """A line that is not UTF-8."""


def marked_encoding(path: Path) -> str | None:
    """The encoding that the first bytes name."""
    with open_text(path) as file:
        start = file.read(4)
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)


def decoded(path: Path, encoding: str) -> str:
    """The whole text; ValueError where it is not in this encoding."""
    try:
        return _whole(path).decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected {encoding}, as the first bytes say, found {error.reason} at byte "
            f"{error.start:,}"
        ) from None


# Ranges of a pattern. What is not in them, Western European words do not have.
_LETTERS = "À-ÏÑ-ÖØ-Üß-ïñ-öø-üÿŒœ"
_SIGNS = (
    "\u00a1-\u00ac\u00ae-\u00b6\u00b8-\u00bf\u00d7"  # of Latin-1
    "\u20ac\u201e\u2026\u2030\u2018\u201c\u201d\u2022\u2013\u2014\u2122"  # €, quotes, dashes
)
_ANYWHERE = "\u2019\u00b7\u00a0\u00ad"  # also between letters
_FOREIGN = re.compile(
    # Other encodings put their letters where Windows-1252 has signs, or use more of them in a row.
    rf"[^\t\r\n -~{_LETTERS}{_SIGNS}{_ANYWHERE}]|[^\x00-\x7f\xa0]{{3}}"
    rf"|[A-Za-z{_LETTERS}][{_SIGNS}][a-z{_LETTERS}]"
    # A letter of UTF-8, as in a file of both encodings; not a quote or dash behind a word.
    rf"|[ÂÃ](?![»\u2019\u201d\u2013\u2014])[{_SIGNS}{_ANYWHERE}œ]"
)


def western_text(path: Path) -> str | None:
    """The text, if it can be no other one than that in Windows-1252 (or the same in Latin-1)."""
    try:
        text = _whole(path).decode("cp1252")
    except UnicodeDecodeError:
        return None
    return None if _FOREIGN.search(text) else text


def _whole(path: Path) -> bytes:
    """All bytes of a file that is small enough to be kept in memory with its text."""
    size, limit = path.stat().st_size, memory.room()
    if 4 * size > limit:
        raise memory.too_large("the text", 4 * size, limit)
    with open_text(path) as file:
        return file.read()
