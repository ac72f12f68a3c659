"""A table whose columns are typed: its target, what is useful, and how that is said in a line."""

import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import nearest
from journal_launcher.tabular.data.columns import (
    Typed,
    features_of,
    list_names,
    plain_kind,
    rows_of,
)
from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.data.deciding import type_columns
from journal_launcher.tabular.data.frames import FileFormat, TableFile, is_plain_number, note_rows
from journal_launcher.tabular.data.readers import content_sha256, read_bundled, read_file
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.data.targets import Target, decide_target, type_target
from journal_launcher.tabular.data.useless import NEVER_REPEATS, TEXT, useless
from journal_launcher.tabular.data.weights import check_weights, scaled

__all__ = ["TypedTable", "read_table"]

_SHOWN = 5
_INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")
"""What pandas calls an index that it wrote."""

_Columns = dict[str, Typed]


@dataclass(frozen=True)
class TypedTable:
    """The rows that have a target, and a weight above 0 if they are weighed.

    columns: those that a model learns from, by name. left_out: the others, and why. typed: all of
    them, the target's and those of groups and weights too. keys: (rows,) what --group-column or
    --time-column holds. weights: as `scaled`. reading: of the columns that are not read as plainly
    as `plain_kind` does, how they are; and of a footer that it was left out. notes and doubts:
    lines for the user.
    """

    name: str
    file: FileFormat
    sha256: str
    target: Target
    columns: _Columns
    left_out: dict[str, str]
    typed: _Columns
    keys: NDArray[Any] | None
    weights: NDArray[np.float64] | None
    weight_column: str | None
    reading: dict[str, str]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line: how the table was read."""
        target, kinds = self.target, Counter(column.kind for column in self.columns.values())
        classes = f" ({len(target.classes)} classes)" if target.classes else ""
        weighted = f", weighted by {self.weight_column}" if self.weight_column else ""
        parts = [
            f"{self.name}: {_counted(len(target.values), 'row')}, {target.task} of "
            f"{target.name}{classes}{weighted}",
            ", ".join(
                _counted(kinds[kind], kind)
                for kind in ("number", "category", "boolean", "date", "text")
                if kinds[kind]
            ),
        ]
        if self.left_out:
            out = [f"{name or 'column 1'} ({why})" for name, why in self.left_out.items()]
            more = f" and {len(out) - _SHOWN} more" if len(out) > _SHOWN else ""
            parts.append(f"left out: {', '.join(out[:_SHOWN])}{more}")
        return "; ".join(parts)

    def features(self) -> tuple[Schema, Features]:
        described = {name: column.as_column(name) for name, column in self.columns.items()}
        order = tuple(column for column, _ in described.values())
        target = self.target
        schema = Schema(
            order,
            target.name,
            target.task,
            target.classes,
            target.class_type,
            self.weight_column,
        )
        arrays = {name: values for name, (_, values) in described.items()}
        return schema, features_of(schema, arrays, len(target.values))


def read_table(source: TableSource) -> TypedTable:
    """Read a table and decide what its columns are; only rows that have a target are looked at, and
    of those that are weighed only rows whose weight is not 0.

    The columns of --group-column and --weight-column are no features, that of --time-column is one.

    Raises:
        UsageError: bad data, or options that do not fit them; says where.
    """
    file, target_name, sha256 = _read(source)
    whole = file.frame
    whole_target = type_target(target_name, whole[target_name], source.date_order)
    rows = ~whole_target.missing
    if not rows.any():
        raise UsageError(f"target {target_name!r}: expected different values, found none")
    notes = _note_sheets(file.format, source.data)
    notes += note_rows(int(np.count_nonzero(~rows)), "without a target", "left out")
    semicolons = file.format.separator == ";"
    frame = whole if rows.all() else whole[rows]
    typed = type_columns(frame, source.date_order, semicolons)
    weights = _weights(source, target_name, typed, rows_of(frame))
    if weights is not None and not weights.all():
        weighty = weights > 0
        notes += note_rows(int(np.count_nonzero(~weighty)), "of weight 0", "left out")
        rows[rows] = weighty
        weights = weights[weighty]
        frame = whole[rows]
        typed = type_columns(frame, source.date_order, semicolons)
    if whole_target.kind == "category":
        typed[target_name] = replace(whole_target, values=whole_target.values[rows])
    else:  # what the gaps were is known from all rows, what a mark means from all columns
        typed[target_name] = replace(
            typed[target_name], gaps=whole_target.gaps, notes=whole_target.notes
        )
    target = decide_target(source.task, target_name, typed[target_name], frame[target_name])
    keys = _split_keys(source, target_name, typed, rows_of(frame))
    no_features = (target_name, source.group_column, source.weight_column)
    columns, left_out = _features(typed, no_features, source.texts)
    if not columns:
        raise UsageError(f"expected a useful column beside the target {target_name!r}, found none")
    used = {name: column for name, column in typed.items() if name not in left_out}
    return TypedTable(
        name=source.data if source.data.startswith("sklearn:") else Path(source.data).name,
        file=file.format,
        sha256=sha256,
        target=target,
        columns=columns,
        left_out=left_out,
        typed=typed,
        keys=keys,
        weights=None if weights is None else scaled(weights),
        weight_column=source.weight_column,
        reading=_reading(typed, left_out, whole) | _rows_left_out(file.format),
        notes=(*file.notes, *notes, *_notes(used, columns, source.time_column)),
        doubts=(*file.doubts, *_doubts(typed, left_out)),
    )


def _features(
    typed: _Columns, others: Container[str | None], texts: bool
) -> tuple[_Columns, dict[str, str]]:
    """(columns to learn from, those left out and why); with `texts`, text is one to learn from."""
    columns = {name: column for name, column in typed.items() if name not in others}
    left_out = useless(columns)
    for name in [name for name, why in left_out.items() if texts and why == TEXT]:
        del left_out[name]
        columns[name] = typed[name] = replace(typed[name], kind="text")
    return {name: one for name, one in columns.items() if name not in left_out}, left_out


def _read(source: TableSource) -> tuple[TableFile, str, str]:
    """(table, name of the target column, sha256 of the content)."""
    location = source.location
    if location.startswith("sklearn:"):
        frame, target = read_bundled(location.removeprefix("sklearn:"))
        return TableFile(frame), target, content_sha256(frame)
    table, sha256 = read_file(location), fingerprint(location)
    default = "y" if location.lower().endswith(".npz") else None
    names = [str(name) for name in table.frame.columns]
    table.frame.columns = names
    wanted = source.target or default
    if wanted is None:
        raise UsageError(f"needs --target COLUMN, one of {_listed(names)}")
    more = [f"{Path(location).name}#{sheet}" for sheet in table.format.other_sheets]
    hint = ""
    if more:
        hint = f"; only the sheet {table.format.sheet!r} was read, name another: {_listed(more)}"
    elif table.format.separator and len(names) == 1:
        hint = "; it is one column, as none of , ; | and tabs is in its name"
    elif any(map(is_plain_number, names)):
        hint = "; the first row must hold the names"
    return table, _existing("--target", wanted, names, hint), sha256


def _existing(flag: str, name: str, names: Iterable[str], more: str = "") -> str:
    names = list(names)
    if name in names:
        return name
    near = nearest(name, names)
    hint = f"did you mean {near!r}?" if near else f"there are {_listed(names)}"
    raise UsageError(f"{flag} {name}: no such column; {hint}{more}")


def _listed(names: list[str]) -> str:
    # Without a header, what stands for a name may be a whole text.
    shown = [name if len(name) <= 60 else f"{name[:59]}…" for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _split_keys(
    source: TableSource, target: str, columns: _Columns, rows: NDArray[np.int64]
) -> NDArray[Any] | None:
    """(rows,) what --group-column or --time-column holds: groups, or moments in order."""
    name = source.group_column or source.time_column
    if name is None:
        return None
    flag = "--group-column" if source.group_column else "--time-column"
    column = columns[_existing(flag, name, columns)]
    if name == target:
        raise UsageError(f"{flag} {name}: is the target; name another column")
    if column.missing.any():
        row = int(rows[np.argmax(column.missing)]) + 1
        raise UsageError(f"{flag} {name}: expected a value in every row, row {row} has none")
    if source.time_column and column.kind not in ("number", "date"):
        raise UsageError(
            f"{flag} {name}: expected numbers or dates such as 2024-01-31, found {column.example!r}"
        )
    return column.values


def _weights(
    source: TableSource, target: str, columns: _Columns, rows: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """(rows,) what --weight-column holds."""
    if source.weight_column is None:
        return None
    name = _existing("--weight-column", source.weight_column, columns)
    taken = {
        target: "the target",
        source.group_column: "the column of the groups",
        source.time_column: "the column of the times",
    }
    if name in taken:
        raise UsageError(f"--weight-column {name}: is {taken[name]}; name another column")
    return check_weights(name, columns[name], rows)


# --- what is said


def _reading(typed: _Columns, left_out: dict[str, str], whole: pd.DataFrame) -> dict[str, str]:
    """How the columns are read that are read otherwise than `plain_kind` does.

    A study's identity has it: scores of two readings of one file do not compare.
    """
    found = {}
    for name, column in typed.items():
        said = column.kind if column.format is None else f"{column.kind} as {column.format}"
        if column.gaps:
            said += f", {list_names([gap.text for gap in column.gaps])} missing"
        plainly = said == plain_kind(name, whole[name])
        if left_out.get(name) in (NEVER_REPEATS, TEXT):
            known = column.values[~column.missing]
            if not plainly or len(np.unique(known)) < len(known):
                found[name] = "left out"
        elif name not in left_out and not plainly:
            found[name] = said
    return found


def _rows_left_out(found: FileFormat) -> dict[str, str]:
    rows = {
        **{"the repeated header": found.headers},
        **{"the footer": found.footer, "the subtotals": found.subtotals},
    }
    return {name: "left out" for name, any_ in rows.items() if any_}


def _notes(used: _Columns, columns: _Columns, time_column: str | None) -> list[str]:
    formats = [f"{name!r} as {c.format}" for name, c in used.items() if c.format]
    more = f" and {len(formats) - _SHOWN} more" if len(formats) > _SHOWN else ""
    notes = [f"columns in a format: {', '.join(formats[:_SHOWN])}{more}"] if formats else []
    notes += [note for column in used.values() for note in column.notes]
    for name, column in columns.items():
        counts_rows = column.kind == "number" and bool((np.diff(column.values) == 1).all())
        if counts_rows and name != time_column:
            notes.append(f"column {name!r} counts the rows; remove it if it is only a number")
        elif _INDEX.fullmatch(name):
            notes.append(f"column {name!r} is named as an index; remove it if it is only a number")
    return notes


def _doubts(typed: _Columns, left_out: dict[str, str]) -> tuple[str, ...]:
    """Of the columns in use, and of texts that are left out because they may be something else."""
    told = {
        name: column
        for name, column in typed.items()
        if left_out.get(name) in (None, NEVER_REPEATS, TEXT)
    }
    return tuple(doubt for column in told.values() for doubt in column.doubts)


def _note_sheets(found: FileFormat, data: str) -> list[str]:
    if not found.other_sheets:
        return []
    return [f"read from the sheet {found.sheet!r}; another one is {data}#{found.other_sheets[0]}"]


def _counted(count: int, word: str) -> str:
    if count == 1:
        return f"1 {word}"
    return f"{count:,} {word[:-1]}ies" if word.endswith("y") else f"{count:,} {word}s"
