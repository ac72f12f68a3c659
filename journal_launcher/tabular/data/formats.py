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
from datetime import UTC, date, datetime
from functools import cache

__all__ = [
    "DATE_FORMATS",
    "Reader",
    "boolean_of",
    "decimal_mark",
    "example_of",
    "is_mark",
    "number_formats",
    "number_of",
    "order_of",
    "reader_of",
    "seconds_of",
    "thousands_mark",
    "unit_of",
]

Reader = Callable[[str], float | None]
"""The value of a text, or None if it is not written in that way."""

_NO_VALUE = frozenset(
    (
        *("?", "\\n", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "**"),
        *("(null)", "none", "missing", "unknown", "n.a.", "n.a", "n/a", "na", "n.d.", "nd"),
        *("#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "#n/a"),
    )
)
"""Marks of a missing value that are texts like any other among texts; in lower case."""

_ALIKE = str.maketrans("\u00a0\u202f\u2009\u2019\u2212", "   '-")
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
_SAMPLE = 100
_CODES = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR ISK JPY KRW MXN "
    "MYR NOK NZD PEN PHP PLN RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR kr zł Kč Ft Fr."
)
_CURRENCY = rf"[A-Z]{{0,2}}[$€£¥₹₩₽₺₪₫₴₱฿¢]|{'|'.join(map(re.escape, _CODES.split()))}"
_AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[+-]?) ?(?P<before>{_CURRENCY})? ?(?P<inner>[+-]?)"
    r"(?P<digits>[0-9.,' ]*[0-9][.,]?(?:[eE][+-]?[0-9]+)?) ?"
    rf"(?P<after>{_CURRENCY}|%)?(?P<close>\))?"
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
    return text.lower() in _NO_VALUE


# --- numbers


def number_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of the formats that texts like the first of these may be written in.

    The unit is the commonest; a mark that stands between no digits is no mark of thousands.
    """
    parts = [part for text in texts[:_SAMPLE] if (part := _amount(text))]
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
    signs = [part for part in (found["open"], found["sign"], found["inner"]) if part]
    twice = len(signs) > 1 or (found["before"] and found["after"])
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
    whole = rf"(?:0|[1-9][0-9]*|{groups})"
    return re.compile(rf"(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?")


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


# --- dates

_ISO = re.compile(r"\d{4}[-/]\d\d([-/]\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH = {"sept": 9} | {
    name: n for names in (_MONTHS, _LONG_MONTHS) for n, name in enumerate(names, 1)
}
_CLOCK = (
    r"(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(:(?P<S>[0-9]{2}(\.[0-9]+)?))?"
    r"( ?(?P<half>[ap])\.?m\.?)?( ?(?P<zone>z|utc|gmt|[+-][0-9]{2}:?[0-9]{2}))?"
)
_TIME = rf"((t|,? +){_CLOCK})?"
_WEEKDAY = r"((mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?\.?,? +)?"
_D, _M, _NAME = r"(?P<d>[0-9]{1,2})", r"(?P<m>[0-9]{1,2})", r"(?P<mon>[a-z]{3,9})\.?"
_YEAR, _SHORT, _LAST = r"(?P<y>[0-9]{4})", r"(?P<y>[0-9]{2})", r"(?P<y>[0-9]{4}|[0-9]{2})"
_DATES = {
    "y-m-d": f"{_YEAR}-{_M}-{_D}{_TIME}",
    "y/m/d": f"{_YEAR}/{_M}/{_D}{_TIME}",
    "y.m.d": rf"{_YEAR}\.{_M}\.{_D}\.?{_TIME}",
    "d.m.y": rf"{_D}\. ?{_M}\. ?{_LAST}{_TIME}",
    "d/m/y": f"{_D}/{_M}/{_LAST}{_TIME}",
    "m/d/y": f"{_M}/{_D}/{_LAST}{_TIME}",
    "yy/m/d": f"{_SHORT}/{_M}/{_D}{_TIME}",
    "d-m-y": f"{_D}-{_M}-{_LAST}{_TIME}",
    "m-d-y": f"{_M}-{_D}-{_LAST}{_TIME}",
    "yy-m-d": f"{_SHORT}-{_M}-{_D}{_TIME}",
    "d mon y": rf"{_WEEKDAY}{_D}(st|nd|rd|th)?\.?[ /-]?{_NAME}[ ,/-]{{0,2}}{_LAST}{_TIME}",
    "mon d, y": rf"{_WEEKDAY}{_NAME} ?{_D}(st|nd|rd|th)?,? ?{_YEAR}{_TIME}",
    "y mon d": f"{_YEAR}[ /-]{_NAME}[ /-]{_D}{_TIME}",
    "mon y": f"{_NAME}[ ,/-]{{1,2}}{_YEAR}",
    "ymd": r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"
    r"([t ]?(?P<H>[0-9]{2}):?(?P<M>[0-9]{2}):?(?P<S>[0-9]{2})?(?P<zone>z)?)?",
    "h:m": _CLOCK,
}
DATE_FORMATS = tuple(_DATES)
_ORDERS = {
    **dict.fromkeys(("d/m/y", "d-m-y"), "dmy"),
    **dict.fromkeys(("m/d/y", "m-d-y"), "mdy"),
    **dict.fromkeys(("yy/m/d", "yy-m-d"), "ymd"),
}


def seconds_of(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 date with or without a time; UTC unless it names a zone."""
    if not _ISO.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("/", "-") + ("-01" if len(text) == 7 else ""))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def order_of(name: str | None) -> str | None:
    """dmy, mdy or ymd, where another order is written alike."""
    return _ORDERS.get(name or "")


def _date_reader(name: str) -> Reader:
    pattern = re.compile(_DATES[name], re.IGNORECASE)

    def read(text: str) -> float | None:
        found = pattern.fullmatch(text)
        return _moment(found.groupdict()) if found else None

    return read


def _moment(parts: dict[str, str | None]) -> float | None:
    """Seconds since 1970 of the parts of a date; a time alone is one of 1 January 1970."""
    name = parts.get("mon")
    month = _MONTH.get(name.lower(), 0) if name else int(parts.get("m") or 1)
    year, short = int(parts.get("y") or 1970), len(parts.get("y") or "") == 2
    if short:  # as POSIX has it: 69 to 99 are of the last century
        year += 1900 if year >= 69 else 2000
    try:
        days = (
            date(year, month, int(parts.get("d") or 1)).toordinal() - date(1970, 1, 1).toordinal()
        )
    except ValueError:
        return None
    hour, minute = int(parts.get("H") or 0), int(parts.get("M") or 0)
    second, half = float(parts.get("S") or 0), parts.get("half")
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    if hour > 23 or minute > 59 or second >= 60:
        return None
    return days * 86400.0 + hour * 3600 + minute * 60 + second - _offset(parts.get("zone"))


def _offset(zone: str | None) -> int:
    """Seconds that clocks of a zone are ahead of UTC."""
    if not zone or zone[0] not in "+-":
        return 0
    ahead = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return -ahead if zone[0] == "-" else ahead


# --- by name


@cache
def reader_of(kind: str, name: str | None) -> Reader:
    """What reads a column of that kind, `name` its format, None the plain one.

    Raises:
        KeyError: no such kind or format.
    """
    if name is None:
        return {"boolean": boolean_of, "number": number_of, "date": seconds_of}[kind]
    return _number_reader(name) if kind == "number" else _date_reader(name)


def example_of(kind: str, name: str | None) -> str:
    """A text in that format, for messages."""
    if name is None:
        return {"boolean": "true", "number": "1234.5", "date": "2022-01-31"}[kind]
    if kind == "number":
        return name
    if name in ("ymd", "h:m"):
        return {"ymd": "20220131", "h:m": "14:30"}[name]
    shown = {"yy": "22", "y": "2022", "mon": "Jan", "m": "01", "d": "31"}
    return re.sub("[a-z]+", lambda part: shown[part[0]], name)
