"""How text says a date: a table of the ways to write one, each under the order of its parts."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

__all__ = ["DATE_FORMATS", "MONTHS", "date_reader", "doubtful_zone", "order_of", "seconds_of"]

_ISO = re.compile(r"\d{4}[-/]\d\d([-/]\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?)?")
_NAMES = """
    jan january januar janv janvier ene enero gen gennaio janeiro januari
    feb february februar févr fév février febrero febbraio fev fevereiro februari
    mar march mär märz mrz mars marzo março maart mrt
    apr april avr avril abr abril aprile
    may mai mayo mag maggio maio mei
    jun june juni juin junio giu giugno junho
    jul july juli juil juillet julio lug luglio julho
    aug august août aou agosto ago augustus
    sep sept september septembre septiembre set settembre setembro
    oct october okt oktober octobre octubre ott ottobre outubro out
    nov november novembre noviembre novembro
    dec december dez dezember déc décembre dic diciembre dicembre dezembro
"""
MONTHS = {name: number for number, names in enumerate(_NAMES.split("\n")) for name in names.split()}
"""Names of months, in lower case, of seven languages that do not contradict each other."""
_WEEKDAYS = """
    mon tue tues wed thu thur thurs fri sat sun
    monday tuesday wednesday thursday friday saturday sunday
    mo di mi do fr sa so montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
    lun mar mer jeu ven sam dim lundi mardi mercredi jeudi vendredi samedi dimanche
    mié mie jue vie sáb sab dom lunes martes miércoles miercoles jueves viernes sábado domingo
    gio lunedì martedì mercoledì giovedì venerdì sabato domenica
    seg ter qua qui sex segunda-feira terça-feira quarta-feira quinta-feira sexta-feira
    ma wo vr za zo maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
"""
_ZONES = {
    **{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7},
    **{"wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "mez": 1, "mesz": 2},
    **{"eet": 2, "eest": 3, "z": 0, "utc": 0, "gmt": 0},
}
"""Hours that their clocks are ahead of UTC: in America as in mails (RFC 5322), and in Europe."""
_ELSEWHERE = re.compile("(?<![a-z])(?:est|edt|cst|cdt|mst|pst|bst)(?![a-z])")
"""Those that are others in China, Australia, the Philippines, Malaysia, Cuba or Bangladesh."""
_HOUR = timedelta(hours=1)
_FARTHEST = {"+": 14, "-": 12}
_AHEAD = re.compile(r"(?:utc|gmt)?([+-])([0-9]{1,2}):?([0-9]{2})?", re.I)
_PARTS = {
    "y": "(?P<y>[0-9]{4})",
    "year": "(?P<y>(19|20)[0-9]{2})",  # where little else tells a date from other numbers
    "yy": "(?P<y>[0-9]{2})",
    "any": "(?P<y>[0-9]{4}|[0-9]{2})",
    "m": "(?P<m>[0-9]{1,2})",
    "d": "(?P<d>[0-9]{1,2})",
    "nth": r"(?P<d>[0-9]{1,2})(st|nd|rd|th|\.|\.?º)?",
    "mon": r"(?P<mon>[^\W\d_]{3,10})\.?",
    "clock": r"(?P<H>[0-9]{1,3}):(?P<M>[0-9]{2})(:(?P<S>[0-9]{2}([.,][0-9]+)?))?"
    r"( ?(?P<half>[ap])(\.?m\.?)?| uhr)?",
    "zone": r"( ?(?P<zone>[+-][0-9]{2}:?[0-9]{2}|(utc|gmt)[+-][0-9]{1,2}(:?[0-9]{2})?"
    # Java adds [Europe/Berlin], JavaScript (Central European Standard Time), Go UTC.
    rf"|{'|'.join(_ZONES)})(\[[a-z_/+-]+\]| \([^()]+\)| utc)?)?",
    "on": rf"((?=[^\W\d_])({'|'.join(_WEEKDAYS.split())})\.?,? +)?",  # looks first: it is quicker
}
_PARTS["at"] = rf"((t|:|,? +(at )?){_PARTS['clock']}{_PARTS['zone']})?"
_PARTS["utc"] = "( ?(?P<zone>z|utc|gmt|[+-][0-9]{2}:?[0-9]{2}))?"
_DATES = {
    "y-m-d": "{on}{y}-{m}-{d}{at}",
    "y/m/d": "{on}{y}/{m}/{d}{at}",
    "y.m.d": r"{on}{y}\.{m}\.{d}\.?{at}",
    "y:m:d": "{y}:{m}:{d}{at}",
    "y_m_d": "{y}_{m}_{d}",
    "y年m月d日": "{y}年{m}月{d}日{at}",
    "d.m.y": r"{on}{d}\. ?{m}\. ?{any}{at}",
    "d/m/y": "{on}{d}/{m}/{any}{at}",
    "m/d/y": "{on}{m}/{d}/{any}{at}",
    "yy/m/d": "{yy}/{m}/{d}{at}",
    "d-m-y": "{on}{d}-{m}-{any}{at}",
    "m-d-y": "{on}{m}-{d}-{any}{at}",
    "yy-m-d": "{yy}-{m}-{d}{at}",
    "d mon y": "{on}{nth}( de(?= ))?[ /-]?{mon}( de(?= ))?[ ,/-]{{0,2}}{any}{at}",  # no de of dec
    "mon d, y": "{on}{mon} ?{nth},? ?{y}{at}",
    "mon d h:m y": "{on}{mon} +{d} {clock}{zone} {y}",
    "y mon d": "{y}[ /-]{mon}[ /-]{d}{at}",
    "mon y": "{mon}[ ,/-]{{1,2}}{y}",
    "y mon": "{y}[ /-]{mon}",
    "m/y": "(?P<m>[0-9]{{2}})/{year}",
    "m-y": "(?P<m>[0-9]{{2}})-{year}",
    "m.y": r"(?P<m>[0-9]{{2}})\.{year}",
    "yQq": "{year}[ /-]?Q(?P<q>[1-4])",
    "Qq y": "Q(?P<q>[1-4])[ /-]?{year}",
    "y-Ww": "{year}[ -]?W(?P<w>[0-9]{{2}})(-?(?P<day>[1-7]))?",
    "ymd": "(?P<y>[0-9]{{4}})(?P<m>[0-9]{{2}})(?P<d>[0-9]{{2}})"
    "([t ]?(?P<H>[0-9]{{2}})(:?(?P<M>[0-9]{{2}}):?(?P<S>[0-9]{{2}})?)?(?P<zone>z)?)?",
    # No zone by its name: without a day the time would be that of another one.
    "h:m": r"((?P<days>-?[0-9]{{1,6}}) days?,? \+?)?{clock}{utc}",
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
        if (ahead := moment.utcoffset()) is not None and not -12 <= ahead / _HOUR <= 14:
            return None
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def order_of(name: str | None) -> str | None:
    """dmy, mdy or ymd, where another order is written alike."""
    return _ORDERS.get(name or "")


def doubtful_zone(text: str) -> str | None:
    """What a zone in a date is read as, -06:00 for CST, if it is another one elsewhere."""
    found = _ELSEWHERE.search(text.lower())
    return f"{_ZONES[found[0]]:+03d}:00" if found else None


def date_reader(name: str) -> Callable[[str], float | None]:
    """What reads a date in that format.

    Raises:
        KeyError: there is no such format.
    """
    pattern = re.compile(_DATES[name].format_map(_PARTS), re.IGNORECASE)

    def read(text: str) -> float | None:
        found = pattern.fullmatch(text)
        try:
            return _moment(found.groupdict()) if found else None
        except ValueError:
            return None

    return read


def _moment(parts: dict[str, str | None]) -> float | None:
    """Seconds since 1970 of the parts of a date; a time alone, which may be a duration, is since
    1 January 1970.

    Raises:
        ValueError: there is no such day.
    """
    day = _day(parts).toordinal() - date(1970, 1, 1).toordinal() + int(parts.get("days") or 0)
    hour, minute = int(parts.get("H") or 0), int(parts.get("M") or 0)
    second, half = float((parts.get("S") or "0").replace(",", ".")), parts.get("half")
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    duration = "y" not in parts and parts.get("S")  # 40:05:10 is one, 25:00 may be anything
    if minute > 59 or second >= 60 or (hour > 23 and not duration):
        return None
    return day * 86400.0 + hour * 3600 + minute * 60 + second - _offset(parts.get("zone"))


def _day(parts: dict[str, str | None]) -> date:
    """The day that the parts name, the first one of a month, quarter or week."""
    year, name = int(parts.get("y") or 1970), parts.get("mon")
    if len(parts.get("y") or "") == 2:  # as POSIX has it: 69 to 99 are of the last century
        year += 1900 if year >= 69 else 2000
    if week := parts.get("w"):
        return date.fromisocalendar(year, int(week), int(parts.get("day") or 1))
    if quarter := parts.get("q"):
        return date(year, 3 * int(quarter) - 2, 1)
    month = MONTHS.get(name.lower(), 0) if name else int(parts.get("m") or 1)
    return date(year, month, int(parts.get("d") or 1))


def _offset(zone: str | None) -> int:
    """Seconds that clocks of a zone are ahead of UTC.

    Raises:
        ValueError: none are so far ahead, or behind.
    """
    if not zone:
        return 0
    found = _AHEAD.fullmatch(zone)
    if not found:
        return 3600 * _ZONES[zone.lower()]
    ahead = int(found[2]) * 3600 + int(found[3] or 0) * 60
    if ahead > _FARTHEST[found[1]] * 3600:
        raise ValueError("no zone")
    return -ahead if found[1] == "-" else ahead
