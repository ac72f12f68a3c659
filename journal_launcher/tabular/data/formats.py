"""How text says a number, a date or nothing. Each way but the plain one has a name in the schema.

Of numbers it is an example, "1.234,5" or "1,234.5 $", of dates the order of the parts, "d/m/y".
Plain is what Python reads as a number, true or false, and an ISO 8601 date.

Written here because a guess that is right for most cells is wrong without a word for the others:
dateutil reads "1,234" as the year 234 and pandas' %Y%m%d reads 202213 as 3 January 2022; where
every cell is like 01/02/2022, skrub takes the month first and DuckDB the day.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from journal_launcher.tabular.data.date_formats import date_reader, seconds_of

__all__ = [
    "Reader",
    "boolean_of",
    "decimal_mark",
    "example_of",
    "is_mark",
    "number_formats",
    "number_of",
    "reader_of",
    "thousands_mark",
    "unit_of",
]

Reader = Callable[[str], float | None]
"""The value of a text, or None if it is not written in that way."""

_NO_VALUE = frozenset(
    (
        *("?", "\\n", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "**"),
        *(
            "k.a.",
            "k. a.",
            "keine angabe",
            "tbd",
            "(null)",
            "none",
            "missing",
            "unknown",
            "n.a.",
            "n.a",
            "n/a",
            "na",
            "n.d.",
            "nd",
        ),
    )
)
"""Marks of a missing value that are texts like any other among texts; in lower case."""
_SHEET_ERROR = re.compile(r"#(?:nv|[^\W\d_]/[^\W\d_]!?|[¡¿]?[^\W\d_]+(?:/0)?[!?]|#+)", re.I)
"""What a sheet shows in place of a value, in any language: #N/A, #DIV/0!, #NV, #WERT!, #¿NOMBRE?"""

_ALIKE = str.maketrans(
    "\u00a0\u202f\u2009\u2019" + "\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "   '" + 7 * "-"
)
_STYLES = {
    "1,234.5": (",", "."),
    "1.234,5": (".", ","),
    "1 234,5": (" ", ","),
    "1 234.5": (" ", "."),
    "1'234.5": ("'", "."),
    "1'234,5": ("'", ","),
}
_BETWEEN = {
    " ": re.compile("[0-9][ \u00a0\u202f\u2009][0-9]"),
    "'": re.compile("[0-9]['\u2019][0-9]"),
}
_MARKED = re.compile("[0-9][.,][0-9]")
_SAMPLE = 100
_CODES = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR ISK JPY KRW MXN "
    "MYR NOK NZD PEN PHP PLN RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR kr. kr zł Kč Ft Fr. "
    "RMB RM Rs. Rs Rp. Rp"
)
_WITH_SIGN = "[A-Z]{0,2}|" + "|".join(re.findall("[A-Z]{3}", _CODES))  # A$, NT$, USD$; not MLB$1
_CURRENCY = rf"(?:{_WITH_SIGN})[$€£¥₹₩₽₺₪₫₴₱฿¢]|{'|'.join(map(re.escape, _CODES.split()))}"
_ROOMS = {"RM", "Rs", "Rp"}
"""Units only where some number has a mark in it: RM 101 may be a room, and Rs 1 a code."""
_SIGNS = ("open", "sign", "inner", "behind", "last")
_AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[+-]?) ?(?P<before>{_CURRENCY})? ?(?P<inner>[+-]?)"
    r"(?P<digits>[0-9.,' ]*[0-9][.,]?(?:[eE][+-]?[0-9]+)?) ?"
    rf"(?P<behind>-?) ?(?P<after>{_CURRENCY}|Euro|euros|lei|%)?(?P<last>-?)(?P<close>\))?"
)


def number_of(text: str) -> float | None:
    """The number that `text` spells, or None; 1_000 is none, though Python reads it."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def boolean_of(text: str) -> float | None:
    return {"true": 1.0, "false": 0.0}.get(text.lower())


def is_mark(text: str) -> bool:
    """Whether `text` stands for a missing value in a column of numbers or dates."""
    return text.lower() in _NO_VALUE or bool(_SHEET_ERROR.fullmatch(text))


# --- numbers


def number_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of the formats that texts like the first of these may be written in.

    The unit is the commonest; a mark that stands between no digits is no mark of thousands.
    """
    parts = [part for text in texts[:_SAMPLE] if (part := _amount(text))]
    if {unit for _, unit, _ in parts} & _ROOMS and not any(map(_MARKED.search, texts)):
        parts = [part for part in parts if part[1] not in _ROOMS]
    if not parts:
        return ()
    units = Counter(unit for _, unit, _ in parts if unit)
    unit = f" {units.most_common(1)[0][0]}" if units else ""
    rare = [mark for mark, between in _BETWEEN.items() if not any(map(between.search, texts))]
    styles = [style for style, marks in _STYLES.items() if marks[0] not in rare]
    return tuple(
        style + unit
        for style in styles
        if any(_digits(style).fullmatch(digits) for _, _, digits in parts)
    )


def unit_of(name: str) -> str:
    """The currency or % of a number format, or nothing."""
    return name[7:].lstrip()


def decimal_mark(name: str) -> str:
    return _STYLES[name[:7]][1]


def thousands_mark(name: str) -> str:
    return _STYLES[name[:7]][0]


def _amount(text: str) -> tuple[float, str, str] | None:
    """(sign, unit, digits with marks) of a text that may be a number, or None."""
    found = _AMOUNT.fullmatch(text if text.isascii() else text.translate(_ALIKE))
    if not found:
        return None
    signs = [part for part in (found[name] for name in _SIGNS) if part]
    twice = len(signs) > 1 or (found["before"] and found["after"])
    if (found["behind"] or found["last"]) and found["digits"][-1] in ".,":  # 12,- is a price
        return None
    if twice or bool(found["open"]) != bool(found["close"]):
        return None
    unit = found["before"] or found["after"] or ""
    return (-1.0 if signs and signs[0] != "+" else 1.0), unit, found["digits"]


@cache
def _digits(style: str) -> re.Pattern[str]:
    """Digits with marks. No number begins with a zero that says nothing: that is a code."""
    thousands, decimal = map(re.escape, _STYLES[style])
    groups = rf"[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+"
    if style == "1,234.5":  # 12,34,567 as in India
        groups += r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
    plain = rf"(?:0|[1-9][0-9]*)(?:{decimal}[0-9]*)?|{decimal}[0-9]+"
    # No thousands before an exponent: 6,893E+00 is less than 7.
    return re.compile(rf"(?:{plain})(?:[eE][+-]?[0-9]+)?|(?:{groups})(?:{decimal}[0-9]*)?")


def _number_reader(name: str) -> Reader:
    style, expected = name[:7], unit_of(name)
    (thousands, decimal), pattern = _STYLES[style], _digits(style)

    def read(text: str) -> float | None:
        parts = _amount(text)
        if parts is None or not pattern.fullmatch(parts[2]) or parts[1] not in ("", expected):
            return None
        value = parts[0] * float(parts[2].replace(thousands, "").replace(decimal, "."))
        # A bare 0.5 among percents may be a share; a bare 5 among dollars can only be dollars.
        return None if expected == "%" and not parts[1] and value else value

    return read


# --- by name


@cache
def reader_of(kind: str, name: str | None) -> Reader:
    """What reads a column of that kind, `name` its format, None the plain one.

    Raises:
        KeyError: no such kind or format.
    """
    if name is None:
        return {"boolean": boolean_of, "number": number_of, "date": seconds_of}[kind]
    return _number_reader(name) if kind == "number" else date_reader(name)


def example_of(kind: str, name: str | None) -> str:
    """A text in that format, for messages."""
    if name is None:
        return {"boolean": "true", "number": "1234.5", "date": "2022-01-31"}[kind]
    if kind == "number":
        return name
    shown = {"yy": "22", "y": "2022", "mon": "Jan", "m": "01", "d": "31", "ymd": "20220131"}
    shown |= {"h": "14", "q": "1", "w": "05"}
    return re.sub("[a-z]+", lambda part: shown[part[0]], name)
