"""What may be wrong with a column that is read as it is: it is nearly something else."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.date_formats import DATE_FORMATS, MONTHS
from journal_launcher.tabular.data.formats import is_mark, number_formats, number_of, reader_of
from journal_launcher.tabular.data.spelling import are_rooms, are_shortened, begins_with_zero

__all__ = [
    "MANY",
    "MOSTLY",
    "SEVERAL_WAYS",
    "doubt_beside_numbers",
    "doubt_blocks",
    "doubt_codes",
    "doubt_dates",
    "doubt_groups",
    "doubt_orders",
    "doubt_text",
    "doubt_times",
    "hours_of",
    "note_case",
]

Rows = NDArray[np.int64]

MOSTLY = 0.9
"""A column in which at least this share of the rows is numbers or dates has slips in it."""
MANY = 20
"""More different numbers than that are no codes of categories."""
_LOOKED_AT = 1000
"""Different texts that a doubt is based on."""
_FEW_UNITS = 5
"""More different things behind numbers are no units, but names of streets, say."""
_FEW_LABELS = 50
"""More different texts may be ids, in which capitals count."""
_THREE_DIGITS = re.compile("(?<![0-9.,])[1-9][0-9]{0,2}[.,][0-9]{3}(?![0-9.,])")
SEVERAL_WAYS = "its numbers are written in several ways, or have several units; write them alike"


# --- texts that are nearly numbers or dates


def doubt_text(name: str, texts: Typed, rows: Rows) -> str | None:
    """What may be wrong with a text column: most of it is numbers, or dates."""
    if not texts.labels:
        return None
    amounts = any(map(_AMOUNT.fullmatch, texts.labels[:_LOOKED_AT]))
    looks = [_looks(label, amounts) for label in texts.labels[:_LOOKED_AT]]
    many = len(looks) - looks.count("text") - looks.count("spoken date") > MANY
    of_rows = np.array([*looks, *[""] * (len(texts.labels) + 1 - len(looks))])[texts.values]
    known = of_rows != ""
    share = {look: np.count_nonzero(of_rows == look) / max(1, known.sum()) for look in set(looks)}
    start = f"column {name!r} is read as categories"
    numbers, units = share.get("number", 0.0), share.get("unit", 0.0)
    dates, spoken = share.get("date", 0.0), share.get("spoken date", 0.0)
    if numbers == 1.0 and many:
        return f"{start}: {SEVERAL_WAYS}"

    def held(which: NDArray[np.bool_]) -> str:
        place = int(np.argmax(which))
        return f"row {rows[place] + 1} holds {texts.labels[texts.values[place]]!r}"

    no_number, no_date = held(known & (of_rows != "number")), held(known & (of_rows != "date"))
    if dates > MOSTLY:
        return (
            doubt_orders(name, texts, rows)
            or f"{start}: its dates are written in several ways; write them alike"
        )
    if dates + spoken > MOSTLY:
        return f"{start}: {no_number}, which may be a date; write dates as 2024-01-31"
    if many and dates > 0.5:
        part = f"{dates:.0%} of it are dates"
        return f"{start}: {part}, but {no_date}; mend or empty such cells if it is one of dates"
    if MOSTLY < numbers < 1.0 or (many and 0.5 < numbers < 1.0):
        part = "nearly all of it is" if numbers > MOSTLY else f"{numbers:.0%} of it are"
        cure = "; mend or empty such cells if it is one of numbers" if many else ""
        return f"{start}: {part} numbers, but {no_number}{cure}"
    mostly = numbers + units > (0.5 if many else MOSTLY) and len(looks) > 2
    several = texts.labels[:_LOOKED_AT] if len(texts.labels) > MANY else ()
    if several and all(map(_PAIR.fullmatch, several)) and not _are_days(several):
        return f"{start}: {held(known)}, two numbers; write them into two columns"
    if several and all(map(_HOURS.fullmatch, several)):
        return f"{start}: {held(known)}, which may be a duration; write durations as numbers"
    if (units and mostly and _are_few(texts, looks)) or _are_shares(texts):
        unit = held(of_rows == "unit") if units else held(known)
        return f"{start}: {unit}, a number with a unit; write the numbers alone"
    return None


def note_case(name: str, texts: Typed) -> tuple[str, ...]:
    """A note on categories that differ in nothing but their capitals: Yes and yes."""
    seen: dict[str, str] = {}
    if len(texts.labels) > _FEW_LABELS:
        return ()
    for label in texts.labels:
        other = seen.setdefault(label.casefold(), label)
        if other != label:
            return (
                f"column {name!r}: {other!r} and {label!r} are two categories; write them alike if "
                "they mean the same",
            )
    return ()


def doubt_groups(name: str, texts: Typed, rows: Rows) -> str | None:
    """Whether each text stands in the first row of its group alone, as in cells once merged."""
    first = _heads(texts)
    if first is None or len(first) > len(texts.labels):
        return None
    held = _first_two(first, rows)
    return (
        f"column {name!r} has a text in the first row of each group alone, as in {held}: if it is "
        "that of the rows below too, as in merged cells, write it there"
    )


def doubt_blocks(columns: dict[str, Typed], rows: Rows) -> dict[str, Typed]:
    """The columns, with a doubt of the first of several that have values in the same rows alone, no
    two of them one below the other, and the first: the heads of blocks, as of vouchers."""
    alike: dict[bytes, list[str]] = {}
    for name, column in columns.items():
        first = _heads(column)
        if first is not None:
            alike.setdefault(first.tobytes(), []).append(name)
    for first_name, *others in alike.values():
        if others and any(columns[name].kind != "number" for name in (first_name, *others)):
            held = _first_two(np.flatnonzero(~columns[first_name].missing), rows)
            doubt = (
                f"columns {first_name!r} and {', '.join(map(repr, others[:3]))} have values in the "
                f"first row of each group alone, as in {held}: if they are those of the rows below "
                "too, write them there"
            )
            columns = {**columns, first_name: columns[first_name].doubted(doubt)}
    return columns


def _heads(column: Typed) -> Rows | None:
    """The places of the values, if the first row has one and no two are one below the other."""
    first = np.flatnonzero(~column.missing)
    alone = len(first) > 2 and first[0] == 0 and bool((np.diff(first) > 1).all())
    return first if alone else None


def _first_two(places: Rows, rows: Rows) -> str:
    return " and ".join(f"row {rows[place] + 1}" for place in places[:2])


_NUMBER = r"[+-]?[0-9]+(?:[.,'][0-9]+)*"
_BEHIND = r"(?:/?[^\W\d_]|[°%\uff05‰'\"\u2033\u2032+*?(])[^\d]{0,11}"
_UNIT = re.compile(
    rf"(?:[<>~≈≤≥±$€£¥₹]{{1,2}}|=?['\"]|ca\.?|about) ?{_NUMBER}(?: ?{_BEHIND})?"
    rf"|{_NUMBER} ?{_BEHIND}(?: ?{_NUMBER} ?{_BEHIND}){{0,2}}(?:{_NUMBER})?"
    rf"|P(?:T?[0-9.,]+[YMWDHS])+|% ?{_NUMBER}|{_NUMBER} ?± ?{_NUMBER}"
    r"|[NSEW] ?[0-9]{1,3}\.[0-9]{3,}|[0-9]+(?:_[0-9]{3})+"
)
_PRICE = re.compile(r".*[0-9](?:[.,][-\u2013\u2014]{1,2}|/-)")  # 199.-, 400,- and 250/-
_AMOUNT = re.compile(r"[A-Za-z]{1,3}[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+")
_HOURS = re.compile("[0-9]+:[0-5][0-9]")
_PAIR = re.compile("[0-9.,]+ ?[/x\u00d7] ?[0-9.,]+")
_SHARE = re.compile("[0-9.,]+ ?(?:/|of|von|sur) ?([0-9]+)")
_TIMES = re.compile(
    r"(?P<day>.*[0-9][ T])?(?P<start>[0-9]{1,2}:[0-9]{2}) ?[-\u2013] ?(?P<end>[0-9]{1,2}:[0-9]{2})"
)
_RANGE = re.compile(r"[^\d]*[0-9.,]+ ?(?:-|\u2013|/|to|bis|of|von|or) ?[0-9].*")


def _looks(label: str, amounts: bool) -> str:
    """What a text would be, in a column of which some are amounts with letters, or none."""
    if number_of(label) is not None or number_formats([label]):
        return "number"
    if any(reader_of("date", name)(label) is not None for name in (None, *DATE_FORMATS)):
        return "date"
    if _may_be_date(label):
        return "spoken date"
    if _RANGE.fullmatch(label):
        return "text"
    unit = _UNIT.fullmatch(label) or _PRICE.fullmatch(label) or _has_decimals(label, amounts)
    return "unit" if unit else "text"


def _has_decimals(label: str, amounts: bool) -> bool:
    """Whether a number with a decimal or thousands mark is somewhere in it, and not in a code:
    R910.00 is one unless R1,042.50 stands in other rows."""
    found = re.findall("[0-9](?:[0-9.,']*[0-9])?", label)
    marked = any(re.search("[.,]", number) and number_formats([number]) for number in found)
    return marked and (amounts or not re.fullmatch("[A-Za-z]{1,3}[0-9.,]+", label))


def _may_be_date(label: str) -> bool:
    """Whether it has a year and small numbers, or the name of a month and a number."""
    words, numbers = re.findall(r"[^\W\d_]+", label), re.findall("[0-9]+", label)
    years = [number for number in numbers if re.fullmatch("(19|20)[0-9]{2}", number)]
    small = [number for number in numbers if len(number) < 3]
    if len(years) + len(small) != len(numbers) or len(years) > 1 or len(words) > 4:
        return False
    return bool((years and small) or (numbers and any(w.lower() in MONTHS for w in words)))


def _are_few(texts: Typed, looks: list[str]) -> bool:
    """Whether numbers have few different units behind them: addresses and hashes have many."""
    units = [label for label, look in zip(texts.labels, looks, strict=False) if look == "unit"]
    return len({re.sub("[0-9]+(?:[.,'][0-9]+)*", "0", label) for label in units}) <= _FEW_UNITS


def _are_days(labels: Sequence[str]) -> bool:
    """Whether these pairs may be days of months, or are shares of one and the same number."""
    pairs = [re.findall("[0-9.,]+", label) for label in labels]
    days = all(part.isdigit() and int(part) <= 31 for pair in pairs for part in pair)
    return days or len({last for _, last in pairs}) == 1


def _are_shares(texts: Typed) -> bool:
    """Whether these are numbers of one and the same, as 84/100 and 9 of 100."""
    found = [_SHARE.fullmatch(label) for label in texts.labels[:_LOOKED_AT]]
    return len(found) > 2 and all(found) and len({share[1] for share in found if share}) == 1


# --- dates that may be none, or others


def doubt_dates(name: str, texts: Typed, rows: Rows, form: str | None) -> str | None:
    """Why texts that could be dates of that format are taken for none: versions, seasons, codes."""
    labels = [label for label in texts.labels if label != "None" and not is_mark(label)]
    if form == "d.m.y":
        parts = [label.split(".") for label in labels]
        short = all(re.fullmatch(r"[0-9]+\. ?[0-9]+\.[0-9]{2}", label) for label in labels)
        padded = all(len(number) == 2 for part in parts for number in part[:2])
        if not short or padded or any(int(part[0]) > 12 for part in parts):
            return None
        other, cure = "versions or dates", "write dates with years of four digits"
    elif form is None:
        found = [re.fullmatch("([0-9]{4})[-/]([0-9]{2})", label) for label in labels]
        months = [(int(month[1]), int(month[2])) for month in found if month]
        if len(months) < len(labels):
            return None
        if len(months) > 1 and all((year + 1) % 100 == month for year, month in months):
            other, cure = "seasons of two years or dates", "write months as 2024-01-01"
        elif not all(1700 <= year < 2200 for year, _ in months):
            other, cure = "sizes or codes or dates", "write months as 2024-01-01"
        else:
            return None
    elif form == "h:m":
        hours = [hour for label in labels if (hour := hours_of(label)) is not None]
        if min(hours) < 24:
            return None
        other, cure = "codes or durations", "write durations in seconds"
    else:
        return None
    row = int(rows[np.argmax(texts.values == texts.labels.index(labels[0]))]) + 1
    return (
        f"column {name!r} is read as categories: {labels[0]!r} in row {row} and the like may be "
        f"{other}; {cure}"
    )


def hours_of(label: str) -> int | None:
    """The hours of a time or duration such as 40:05:10, those beside days of 2 days 10:44:00."""
    found = re.match(r"(?:-?[0-9]+ days?,? \+?)?([0-9]+):", label)
    return int(found[1]) if found else None


def doubt_times(name: str, texts: Typed) -> str | None:
    """Of texts such as 07:00-18:00, which is no time with a zone.

    Behind a date it may be one, if not each ends later than it begins; alone it has seconds.
    """
    looked_at = texts.labels[:_LOOKED_AT]
    found = [range_ for label in looked_at if (range_ := _TIMES.fullmatch(label))]
    if 2 * len(found) <= len(looked_at):
        return None
    rising = all(range_["start"].zfill(5) < range_["end"].zfill(5) for range_ in found)
    if all(range_["day"] for range_ in found) and not (rising and len(found) > 1):
        return None
    return (
        f"column {name!r} is read as categories: {found[0][0]!r} is a range of times; write when "
        "it begins and ends into two columns"
    )


def doubt_orders(name: str, texts: Typed, rows: Rows) -> str | None:
    """The first rows of dates such as 13/01/2024 and 01/13/2024 in one column."""
    for pair in (("d/m/y", "m/d/y"), ("d-m-y", "m-d-y")):
        first, second = (reader_of("date", form) for form in pair)
        read = [(first(label) is not None, second(label) is not None) for label in texts.labels]
        if (True, False) in read and (False, True) in read:
            days, months = read.index((True, False)), read.index((False, True))
            where = [int(rows[np.argmax(texts.values == code)]) + 1 for code in (days, months)]
            return (
                f"column {name!r}: its dates are written in several ways; row {where[0]} holds "
                f"{texts.labels[days]!r}, with the day first, and row {where[1]} "
                f"{texts.labels[months]!r}, with the month first; write them alike"
            )
    return None


# --- texts among numbers


def doubt_codes(name: str, texts: Typed) -> str | None:
    """Of plain numbers that may be codes: 008.45, or 3E2; or ids that a sheet has shortened."""
    if are_shortened(texts.labels):
        first = texts.labels[0]
        return (
            f"column {name!r}: {first!r} is read as {float(first):.15g}; if these are ids, a sheet "
            "has dropped their last digits: export them as text"
        )
    odd = texts.labels[0] if are_rooms(texts.labels) else begins_with_zero(texts.labels)
    if odd is None:
        return None
    return (
        f"column {name!r}: {odd!r} is read as {float(odd):.15g}; if these are codes, write a "
        f"letter before each, as in x{odd}"
    )


def doubt_beside_numbers(name: str, series: pd.Series, values: NDArray[np.float64]) -> str | None:
    """Of a column read as `values`, in which a sheet has numbers and texts such as 1.100.

    The numbers do not show what the mark in the texts is.
    """
    if pd.api.types.infer_dtype(series, skipna=True) in ("string", "empty"):
        return None
    marked = {
        place: cell
        for place, cell in enumerate(series)
        if isinstance(cell, str)
        and not np.isnan(values[place])
        and re.search("[0-9][.,]|[.,][0-9]", cell)
    }
    if not marked or not all(map(_THREE_DIGITS.search, marked.values())):
        return None
    place, text = next(iter(marked.items()))
    return (
        f"column {name!r}: the text {text!r} in row {series.index[place] + 1} beside numbers is "
        f"read as {values[place]:.15g}; make such cells numbers in the sheet"
    )
