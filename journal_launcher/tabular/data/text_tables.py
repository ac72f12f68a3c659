"""Delimited text becomes a frame: encoding and separator are found in it, values are not judged.

A column is one of numbers where each of its cells is a plain number; any other is text as written,
and so are numbers whose digits say more than their value (`spelling`).
"""

import csv
import io
import itertools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from journal_launcher.base.data_source import compression_of
from journal_launcher.base.data_text import open_text
from journal_launcher.tabular.data.encodings import (
    WESTERN,
    WESTERN_NOTE,
    NotUTF8,
    decoded,
    marked_encoding,
    western_text,
)
from journal_launcher.tabular.data.frames import (
    EXACT,
    MISSING,
    FileFormat,
    TableFile,
    are_plain_numbers,
    check_names,
)
from journal_launcher.tabular.data.spelling import has_commas, matters, may_matter, seem_odd
from journal_launcher.tabular.data.titles import lines_above, note_above, titles_above
from journal_launcher.tabular.data.totals import as_table

__all__ = ["read_text"]

_SEPARATORS = "\t;|,"
"""The less common in texts and numbers first."""
_SAMPLE = 1000  # lines that decide which separator it is
_FEW = 100  # lines in which columns of text are guessed, only to read them at once
_CHUNK = 1 << 20
_SEPARATOR_LINE = re.compile(rb'(\xef\xbb\xbf)?"?sep=([\t;|,])"?\r?\n', re.I)  # Excel writes it
_WRITTEN = re.compile(r"\s*[+-]?0[0-9]|\s*(true|false)\s*$", re.I)
_ZERO_FIRST = (b",00", b",01")
_ZERO_TABLE = bytes.maketrans(b"23456789\t;|\n", b"11111111,,,,")

_Opener = Callable[[], IO[bytes]]


@dataclass(frozen=True)
class _Layout:
    """before: lines above the header, which only name the separator. texts: places of columns in
    which the first rows have codes such as 007, or truth values; odd: numbers that `seem_odd`."""

    before: int
    separator: str
    names: list[str]
    texts: frozenset[int]
    odd: frozenset[int]
    notes: tuple[str, ...]

    def skip(self, file: IO[bytes]) -> IO[bytes]:
        """The file from its header on."""
        for _ in range(self.before):
            file.readline()
        return file


def read_text(path: Path, texts: Collection[str] = (), keep_rows: bool = False) -> TableFile:
    """The frame of a text table; the columns `texts` stay text as written.

    keep_rows: no row below the table is left out.

    Raises:
        ValueError, UsageError: unreadable or malformed; says on which line.
    """
    csv.field_size_limit(sys.maxsize)  # texts are long; not set back: another thread may read
    encoding = marked_encoding(path)
    if encoding is not None:
        return _read(_kept(decoded(path, encoding)), path, encoding, texts, keep_rows)
    try:
        return _read(partial(open_text, path), path, "UTF-8", texts, keep_rows)
    except NotUTF8 as problem:
        text = western_text(path)
        if text is None:
            raise problem from None
    table = _read(_kept(text), path, WESTERN, texts, keep_rows)
    return replace(table, notes=(WESTERN_NOTE, *table.notes))


def _kept(text: str) -> _Opener:
    content = text.encode()
    return lambda: io.BytesIO(content)


def _read(
    open_: _Opener, path: Path, encoding: str, texts: Collection[str], keep_rows: bool
) -> TableFile:
    with open_() as file:
        layout = _layout(file)
    with open_() as file:
        _check_rows(file, layout)
    frame = _typed(open_, layout, texts)
    frame.columns = layout.names
    found = FileFormat(layout.separator, encoding, compression_of(path))
    return as_table(frame, found, layout.notes, texts, keep_rows)


# --- separator and header


def _layout(file: IO[bytes]) -> _Layout:
    start = file.readline()
    said = _SEPARATOR_LINE.fullmatch(start)
    before = 1 if said else 0
    lines = _lines(file if said else itertools.chain([start], file), before)
    sample = list(itertools.islice(lines, _SAMPLE))
    notes: list[str] = []
    sign = said[2].decode() if said else None
    try:
        above = lines_above(sample, lambda lines: sign or _separator(lines, []))
        sign = sign or _separator(sample[above:], notes)
        above += _title_lines(sample[above:], sign)
    except csv.Error:  # the reader of the rows says on which line
        above, sign = 0, sign or ","
    if above:
        notes.append(note_above(sample[:above]))
    sample, before = sample[above:], before + above
    _, header = next(_records(iter(sample), sign, before), (0, []))
    names = [name.strip() for name in header]
    if not names:
        raise ValueError("expected a header with column names, found an empty file")
    check_names(names)
    rows = [*csv.reader(sample[:_FEW], delimiter=sign, skipinitialspace=True)]
    texts = frozenset(n for row in rows for n, cell in enumerate(row) if _WRITTEN.match(cell))
    columns = enumerate(itertools.zip_longest(*rows[1:], fillvalue=""))
    odd = frozenset(n for n, column in columns if seem_odd(column))
    return _Layout(before, sign, names, texts, odd, tuple(notes))


def _title_lines(sample: list[str], sign: str) -> int:
    """How many of the first lines are rows of a title alone."""
    reader = csv.reader(sample[:_FEW], delimiter=sign, skipinitialspace=True)
    ends = [(reader.line_num, row) for row in reader if len(row) > 1 or "".join(row).strip()]
    titles = titles_above([row for _, row in ends])
    return ends[titles - 1][0] if titles else 0


def _separator(sample: list[str], notes: list[str]) -> str:
    """The sign that cuts most rows into as many fields as the header, then that which cuts more."""
    fits: dict[str, tuple[int, int]] = {}
    for sign in _SEPARATORS:
        if not any(sign in line for line in sample):
            continue
        try:
            rows = csv.reader(sample, delimiter=sign, skipinitialspace=True)
            widths = [len(row) for row in rows if len(row) > 1 or "".join(row).strip()]
        except csv.Error:  # the reader of the rows says on which line
            continue
        if widths and widths[0] > 1:
            fits[sign] = (widths.count(widths[0]), widths[0])
    if not fits:
        return ","  # one column
    best = max(fits, key=lambda sign: fits[sign])
    others = [sign for sign in fits if sign != best and fits[sign][0] == fits[best][0]]
    if others:
        notes.append(
            f"columns are separated by {best!r}; {others[0]!r} would divide the rows as evenly: "
            "write names without it into the header if that is wrong"
        )
    return best


# --- rows


def _check_rows(file: IO[bytes], layout: _Layout) -> None:
    """Refuse short and long rows: pandas fills the ones up and shifts the others, silently."""
    expected, line, row = len(layout.names), layout.before, 0
    quoted = _quoted_field(layout.separator)
    for chunk in _chunks(layout.skip(file)):
        rows = _even_rows(chunk, layout, quoted)
        if rows is not None:
            line, row = line + chunk.count(b"\n"), row + rows
            continue
        start, end = line, line + chunk.count(b"\n")
        # Only a parser knows where fields and rows end: the last row may go on in the next chunk.
        lines = _lines(itertools.chain(io.BytesIO(chunk), file), start)
        for line, fields in _records(lines, layout.separator, start):
            if len(fields) != expected:
                cure = ""
                if row == 1 and len(fields) > expected:
                    cure = f"; if line {layout.before + 1} is a title, remove it"
                if row > 1 and len(fields) == 1 < expected:
                    cure = f"; if line {line} is a remark below the table, remove it"
                if row == 1 and len(fields) == expected + 1:
                    cure += "; if rows begin with their names, give that column a name, too"
                raise ValueError(
                    f"row {row} (line {line}): expected {expected} fields as in the header, found "
                    f"{len(fields)}{cure}"
                )
            row += 1
            if line >= end:
                break


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, about a megabyte of them at a time."""
    while chunk := file.read(_CHUNK):
        yield chunk + file.readline()


def _quoted_field(separator: str) -> re.Pattern[bytes]:
    """A quoted field, in one line of text in which a line break comes before each line."""
    around = rf'"(?<=[\n{separator}]")(?:[^"\n]|"")*"(?=[\n{separator}]|\r\n|$)'
    return re.compile(around.encode())


def _even_rows(chunk: bytes, layout: _Layout, quoted: re.Pattern[bytes]) -> int | None:
    """How many rows of as many fields these lines are; None if a parser must say it."""
    separator, others = layout.separator.encode(), len(layout.names) - 1
    if b"\0" in chunk or (b"\r" in chunk and chunk.count(b"\r") != chunk.count(b"\r\n")):
        return None
    if not chunk.isascii():
        try:
            chunk.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if b'"' in chunk:
        chunk = quoted.sub(b"_", b"\n" + chunk)
        if b'"' in chunk:
            return None
    lines = chunk.split(b"\n")
    if not others or {line.count(separator) for line in lines if line} - {others}:
        return None  # a line of spaces alone is no row, and has no separators
    return len(lines) - lines.count(b"")


def _records(
    lines: Iterable[str], separator: str, before: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """(last line, fields) of every row that is not blank; `before`: lines read already."""
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if len(row) > 1 or "".join(row).strip():
                yield before + reader.line_num, row
    except csv.Error as error:
        found = str(error)
        if "new-line character" in found:
            found = "expected lines that end in \\n, found \\r; convert with tr '\\r' '\\n'"
        elif "expected after" in found:
            found = (
                f"expected {separator!r} after the quote that ends a field: columns are separated "
                'by , ; | or tabs, and a quote in a field is written twice, "" and not \\"'
            )
        raise ValueError(f"line {before + reader.line_num}: {found}") from None


def _lines(lines: Iterable[bytes], before: int = 0) -> Iterator[str]:
    """The lines as text; ValueError where they are none."""
    letters = False
    for number, line in enumerate(lines, start=before + 1):
        if b"\0" in line:
            raise ValueError(
                f"line {number}: expected text, found a NUL byte; unpack a packed file, and "
                "convert UTF-16 with iconv -f utf-16 -t utf-8"
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            cure = "convert the file with iconv, for example from latin1: iconv -f latin1 -t utf-8"
            if letters:
                cure = "lines above are UTF-8: write this one and others like it anew"
            raise NotUTF8(
                f"line {number}: expected UTF-8, found byte 0x{line[error.start]:02x}; {cure}"
            ) from None
        letters = letters or not text.isascii()
        yield text


# --- cells


def _typed(open_: _Opener, layout: _Layout, texts: Collection[str]) -> Any:
    """The frame, its columns named by their places: what pandas takes for numbers is looked at."""
    import pandas as pd

    asked = {place for place, name in enumerate(layout.names) if name in texts}
    written = layout.texts | asked
    frame = _parsed(open_, layout, range(len(layout.names)), dict.fromkeys(written, str))
    whole = [place for place in frame if _has_whole_numbers(frame[place])]
    zeros = bool(whole) and _has_zeros(open_, layout)
    commas = layout.separator == ";" or any(has_commas(frame[place]) for place in frame)
    doubtful = [place for place in frame if _may_be_text(frame[place])]
    doubtful += [
        place
        for place in layout.odd & set(frame)
        if frame[place].dtype.kind == "f" and may_matter(frame[place].to_numpy(), commas)
    ]
    doubtful = sorted({*doubtful, *(whole if zeros else ())})
    spelled = _parsed(open_, layout, doubtful, str) if doubtful else {}
    for place in {*doubtful, *layout.texts} - asked:
        column = spelled[place] if place in doubtful else frame[place]
        cells = [text.strip() for text in column.dropna().unique()]
        if not are_plain_numbers(cells) or matters(cells, commas):
            frame[place] = column
        elif frame[place].dtype.kind not in "fi":
            frame[place] = pd.to_numeric(column)
    for place in frame:
        if frame[place].dtype.kind not in "fi":
            frame[place] = _stripped(frame[place])
    return frame


def _parsed(open_: _Opener, layout: _Layout, places: Collection[int], dtype: Any) -> Any:
    """The columns at `places`, named by them."""
    import pandas as pd

    with open_() as file:
        return pd.read_csv(
            layout.skip(file),
            sep=layout.separator,
            header=0,
            names=list(range(len(layout.names))),
            usecols=list(places),
            dtype=dtype,
            na_values=sorted(MISSING),
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
        )


def _has_whole_numbers(column: Any) -> bool:
    """Whether these are numbers as codes are: 007 is one."""
    values = column.to_numpy()
    for part in (values[:_SAMPLE], values) if column.dtype.kind == "f" else ():
        known = part[np.isfinite(part)]
        if not (known == np.floor(known)).all():
            return False
    return column.dtype.kind in "fi"


def _has_zeros(open_: _Opener, layout: _Layout) -> bool:
    """Whether a cell may begin like 007; spaces, quotes and signs before it do not count."""
    with open_() as file:
        for chunk in _chunks(layout.skip(file)):
            digits = b"," + chunk.translate(_ZERO_TABLE, delete=b' "+-')
            if any(start in digits for start in _ZERO_FIRST):
                return True
    return False


def _may_be_text(column: Any) -> bool:
    """Whether pandas may have read other than plain numbers as numbers or booleans."""
    import pandas as pd

    if column.dtype.kind in "fi":
        values = column.to_numpy()
        return bool((values >= EXACT).any() or (values <= -EXACT).any())
    return pd.api.types.infer_dtype(column, skipna=True) not in ("string", "empty")


def _stripped(column: Any) -> Any:
    """Text without spaces around it, missing where only a mark of `MISSING` is left."""
    known = column.dropna().unique()
    if all(text == text.strip() and text not in MISSING for text in known):
        return column
    column = column.str.strip()
    return column.mask(column.isin(MISSING))
