"""Rows of a file that are no rows of its table: its header again, sums of others, and remarks."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from journal_launcher.tabular.data.frames import (
    FileFormat,
    TableFile,
    are_plain_numbers,
    as_numbers,
    drop_unnamed,
    is_plain_number,
    note_rows,
)
from journal_launcher.tabular.data.spelling import has_commas, matters

__all__ = ["as_table"]

_TOTAL = re.compile(
    r"((grand|sub|overall|column|report|class)[ -]?)?(totals?|averages?)|sums?|mean|avg\.?|count"
    r"|gesamt(summe|ergebnis)?|totale complessivo|eindtotaal|total geral|suma total"
    r"|min(imum)?|max(imum)?|median|st(\.|d\.?)? ?d(ev)?\.?|sd|variance|range"
    r"|toplam|ortalama|genel toplam"
    r"|summe|insgesamt|mittelwert|durchschnitt|total g[ée]n[ée]ral|somme|moyenne|totale|media"
    r"|suma|promedio|soma|totaal|gemiddelde|totalt|yhteens[äa]|razem|celkem|итого|всего|合计|总计|合計",
    re.I,
)
_SUM = (
    r"(?:(?:grand|sub)[ -]?)?totals?|zwischensumme|summe|(?:gesamt)?ergebnis|gesamt|insgesamt|somme"
    r"|totale|totaal"
    r"|suma|soma|toplam|totalt|razem|celkem|итого|всего|合计|总计|合計|小计"
)
_SUBTOTAL = re.compile(rf"(?:{_SUM})\b[ :]*(?P<of>.*)|(?P<for>.+?)[ :-]+(?:{_SUM})", re.I)
_REMARK = re.compile(
    r"(sources?|notes?|remarks?|quellen?|hinweise?|anmerkung(en)?|stand|fuentes?|fonte|bron|data)"
    r"\s*:.*|\(c\).*|©.*",
    re.I | re.S,
)
_FEW_ROWS = 9  # of fewer another one may sum up the others by chance
_FOOTER = 20  # rows: more of them are no footer
_FEW_HEADERS = 5  # rows: more of them, and of 1 % of all, may be values


def as_table(
    frame: Any,
    found: FileFormat,
    notes: Sequence[str] = (),
    texts: Collection[str] = (),
    keep_rows: bool = False,
) -> TableFile:
    """The table among a file's cells: what is no column and no row of it is left out, and said.

    Columns that are numbers without the rows left out become so, but for `texts`. keep_rows: every
    row is kept.
    """
    whole, unnamed = drop_unnamed(frame)
    if keep_rows:
        return TableFile(whole, found, (*notes, *unnamed))
    rows, headers, kept = _drop_headers(whole)
    below, above = _drop_sums_above(rows)
    inner, subtotals, doubts = _drop_subtotals(below)
    table, footer = _drop_footer(inner)
    if len(table) < len(whole):
        out, table = whole.drop(table.index), table.copy()
        commas = found.separator == ";" or any(has_commas(table[name]) for name in table.columns)
        for name in table.columns:
            if name in texts or not out[name].notna().any():
                continue
            if not matters({*map(str, table[name].dropna())}, commas):
                table[name] = as_numbers(table[name])
    found = replace(
        found,
        headers=len(whole) - len(rows),
        subtotals=len(rows) - len(inner),
        footer=len(inner) - len(table),
    )
    said = (*notes, *unnamed, *headers, *above, *subtotals, *footer)
    return TableFile(table, found, said, (*kept, *doubts))


# --- in the table


def _drop_headers(frame: Any) -> tuple[Any, list[str], list[str]]:
    """(the frame without rows that hold the columns' names, notes, doubts).

    Files that were put together have such rows. So has one without a header, whose first row took
    its place: there they are values. A name above numbers is one; other names are, if few rows hold
    them, and no other row one of them.
    """
    names = list(frame.columns)
    likely = np.flatnonzero((frame.iloc[:, -1] == names[-1]).to_numpy())
    again = [place for place in likely if list(frame.iloc[place].fillna("")) == names]
    if not again or len(names) < 2:
        return frame, [], []
    which = f"with the names of the columns (row {frame.index[again[0]] + 1})"
    rest = frame.drop(frame.index[again])
    columns = [(name, rest.iloc[:, n].dropna()) for n, name in enumerate(names) if name]
    above_numbers = any(
        len(cells) and are_plain_numbers(map(str, cells)) and not is_plain_number(name)
        for name, cells in columns
    )
    few = len(again) <= max(_FEW_HEADERS, len(frame) // 100)
    if above_numbers or (few and not any((cells == name).any() for name, cells in columns)):
        return rest, note_rows(len(again), which, "left out"), []
    cure = "if the first line is a header, remove them from the file, else write one above it"
    return frame, [], note_rows(len(again), which, f"kept, as they may be values; {cure}")


def _drop_subtotals(frame: Any) -> tuple[Any, list[str], list[str]]:
    """(the frame without rows that sum up others above them, notes, doubts).

    They are left out where that is certain: a word such as Subtotal stands in each of them, and
    each number is the sum of the rows since the last of them, or of all above. Those that are all
    below the table are its footer.
    """
    labels = _sum_labels(frame)
    if not labels or all(_label(frame, place) for place in range(min(labels), len(frame))):
        return frame, [], []
    if _all_sum_up(frame, list(labels)):
        out = frame.drop(frame.index[list(labels)])
        return out, [f"{_named(frame, labels)}: sums of rows above, left out"], []
    likely = {
        place: label
        for place, label in labels.items()
        if _sums_a_value(frame, label) and not _is_among_numbers(frame, label)
    }
    if not likely:
        return frame, [], []
    return (
        frame,
        [],
        [f"{_named(frame, likely)}: may be sums of other rows; if so, remove them from the file"],
    )


def _named(frame: Any, labels: dict[int, str]) -> str:
    shown = [f"row {frame.index[place] + 1} ({label!r})" for place, label in labels.items()]
    more = f" and {len(shown) - 3} such rows more" if len(shown) > 3 else ""
    return f"{', '.join(shown[:3])}{more}"


def _sum_labels(frame: Any) -> dict[int, str]:
    """The texts that may name a sum, by the place of their row, in order."""
    found: dict[int, str] = {}
    for number, kind in enumerate(frame.dtypes):
        if kind.kind != "O":
            continue
        column = frame.iloc[:, number]
        named = [text for text in column.dropna().unique() if _subtotal(text)]
        for place in np.flatnonzero(column.isin(named)) if named else ():
            found.setdefault(int(place), column.iloc[place])
    return dict(sorted(found.items()))


def _subtotal(text: Any) -> re.Match[str] | None:
    return _SUBTOTAL.fullmatch(text) if isinstance(text, str) and len(text) < 100 else None


def _sums_a_value(frame: Any, label: str) -> bool:
    """Whether a label is a mere Total, or one of something that a column has as a value."""
    found = _subtotal(label)
    of = found and (found["of"] or found["for"])
    return not of or bool((frame == of).to_numpy().any())


def _is_among_numbers(frame: Any, label: str) -> bool:
    """Whether a label stands in a column of numbers, which is doubted because of it anyway."""
    columns = (frame.iloc[:, n] for n, kind in enumerate(frame.dtypes) if kind.kind == "O")
    having = (column.dropna() for column in columns if (column == label).any())
    return any(are_plain_numbers(set(map(str, column)) - {label}) for column in having)


def _all_sum_up(frame: Any, places: list[int]) -> bool:
    data = np.setdiff1d(np.arange(len(frame)), places)
    start, longest = 0, 0
    for place in places:
        block = data[(data >= start) & (data < place)]
        above = data[data < place]
        if not any(_row_sums_up(frame, place, rows) for rows in (block, above)):
            return False
        start, longest = place, max(longest, len(block))
    return longest > 1  # one row equals its own sum


def _row_sums_up(frame: Any, place: int, rows: Any) -> bool:
    """Whether each number of a row is the sum of those rows, or what all of them hold."""
    cells = {n: cell for n, cell in enumerate(frame.iloc[place]) if _has_digits(cell)}
    columns = {n: frame.iloc[rows, n].dropna() for n in cells}
    sums = [n for n, cell in cells.items() if _is_sum(columns[n], cell, mean=False)]
    alike = [n for n, cell in cells.items() if len(columns[n]) and (columns[n] == cell).all()]
    return {*sums, *alike} == set(cells) and any(re.search("[1-9]", str(cells[n])) for n in sums)


def _has_digits(cell: Any) -> bool:
    return cell == cell and bool(re.search("[0-9]", str(cell))) and not _subtotal(cell)


def _drop_sums_above(frame: Any) -> tuple[Any, list[str]]:
    """Leave out a first row that has the sums of all others, as reports have, and say so."""
    if not len(frame) or not _sums_all_up(frame.iloc[1:], frame.iloc[0]):
        return frame, []
    row = frame.index[0] + 1
    return frame.iloc[1:], [f"row {row}, the sums of the rows below: left out"]


# --- below it


def _drop_footer(frame: Any) -> tuple[Any, list[str]]:
    """Leave out the rows below a table that sum it up or remark on it, and say so.

    A row is one only where that is certain: a remark or a word such as Total stands alone in it, or
    a text of several words alone in a column of numbers, or the numbers beside the word are sums or
    means of those above. What its column holds above is a value.
    """
    below = 0
    while below < min(_FOOTER, len(frame) - 2) and _label(frame, len(frame) - 1 - below):
        below += 1
    if not below and len(frame) and _sums_all_up(frame.iloc[:-1], frame.iloc[-1]):
        row = frame.index[-1] + 1
        return frame.iloc[:-1], [f"row {row}, the sums of the rows above, is a footer: left out"]
    end = len(frame)
    # All of a footer is judged against the same rows, those above the whole of it.
    first = next((n for n in range(end - below, end) if _is_footer(frame, n)), end)
    notes: list[str] = []
    if first > end - below:
        column, label = _label(frame, first - 1)
        if _TOTAL.fullmatch(label) and not _is_above(frame, first - 1, column, label):
            notes.append(
                f"row {frame.index[first - 1] + 1} begins with {label!r} and is kept: remove it "
                "from the file if it sums up the rows above"
            )
    for place in range(first, end):
        _, label = _label(frame, place)
        shown = label if len(label) <= 60 else f"{label[:59]}…"
        notes.append(
            f"row {frame.index[place] + 1}, {shown!r}, is a footer below the table: left out"
        )
    return frame.iloc[:first], notes


def _sums_all_up(rows: Any, row: Any) -> bool:
    """Whether a row has the sums of all others, and at most a word that no other row has.

    Two sums are no chance; one is none where all other cells are empty that are so nowhere else.
    """
    if len(rows) < _FEW_ROWS:
        return False
    known = row.notna().to_numpy()
    filled, gaps = np.flatnonzero(known), np.flatnonzero(~known)
    words = [n for n in filled if not _has_digits(row.iloc[n])]
    odd = len(words) == 1 and not (rows.iloc[:, words[0]] == row.iloc[words[0]]).any()
    odd = odd or (not words and any(rows.iloc[:, n].notna().all() for n in gaps))
    sums = [n for n in filled if n not in words]
    if not odd or len(words) > 1 or not (len(sums) > 1 or (sums and not words)):
        return False
    return all(
        _is_sum(rows.iloc[:, n], row.iloc[n], mean=False, near=1e-6)
        and rows.iloc[:, n].nunique() > 2
        for n in sums
    )


def _is_footer(frame: Any, first: int) -> bool:
    """Whether all rows from `first` on are a footer of those above it."""
    labels = [(place, *_label(frame, place)) for place in range(first, len(frame))]
    if any(_is_above(frame, place, column, label) for place, column, label in labels):
        return False
    above = frame.iloc[:first]
    return all(_sums_up(frame.iloc[place], column, label, above) for place, column, label in labels)


def _is_above(frame: Any, place: int, column: int, label: str) -> bool:
    return bool((frame.iloc[:place, column] == label).any())


def _label(frame: Any, place: int) -> Any:
    """(column, text) of a row's first cell with a value, if that is text and no number."""
    row = frame.iloc[place]
    filled = np.flatnonzero(row.notna().to_numpy())
    if len(frame.columns) < 2 or not len(filled):
        return None
    text = row.iloc[filled[0]]
    if not isinstance(text, str) or is_plain_number(text) or not any(map(str.isalpha, text)):
        return None
    alone = len(filled) == 1
    return (int(filled[0]), text) if alone or _TOTAL.fullmatch(text) else None


def _sums_up(row: Any, column: int, label: str, above: Any) -> bool:
    others = [place for place in np.flatnonzero(row.notna().to_numpy()) if place != column]
    if not others:
        known = above.iloc[:, column].dropna()
        strange = " " in label and len(known) > 0 and are_plain_numbers(map(str, known))
        return bool(_TOTAL.fullmatch(label) or _REMARK.fullmatch(label) or strange)
    return all(map(_is_sum, (above.iloc[:, place] for place in others), row.iloc[others]))


def _is_sum(column: Any, found: Any, mean: bool = True, near: float = 1e-3) -> bool:
    """Whether it is the sum of the column, or its mean, in any way in which amounts are written.

    near: how far it may be from that, in parts of it.
    """
    import pandas as pd

    if column.dtype.kind in "fi" and not mean:
        return bool(np.isclose(float(found), column.sum(), rtol=near, atol=0))
    texts = pd.Series([*map(str, column.dropna()), str(found)])
    bare = texts.str.replace(r"[^0-9.,+-]", "", regex=True) if column.dtype.kind == "O" else texts
    point, comma = bare.str.replace(",", ""), bare.str.replace(".", "").str.replace(",", ".")
    for written in (bare, point, comma):
        if len(written) > 1 and are_plain_numbers(written):
            values = pd.to_numeric(written).to_numpy(np.float64)
            total = values[:-1].sum()
            sums = [total, total / (len(values) - 1)] if mean else [total]
            if np.isclose(values[-1], sums, rtol=near).any():
                return True
    return False
