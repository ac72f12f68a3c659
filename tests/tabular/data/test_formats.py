"""How text says a number, a date or nothing."""

from datetime import UTC, datetime

import pytest

from journal_launcher.tabular.data.date_formats import DATE_FORMATS
from journal_launcher.tabular.data.formats import example_of, is_mark, number_formats, reader_of


def values_of(kind: str, text: str) -> dict[str, float]:
    names = number_formats([text]) if kind == "number" else DATE_FORMATS
    read = {name: reader_of(kind, name)(text) for name in names}
    return {name: value for name, value in read.items() if value is not None}


class TestNumbers:
    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [
            ("25,638.00", "1,234.5", 25638),
            ("-1,234,567.5", "1,234.5", -1234567.5),
            ("12,34,567.00", "1,234.5", 1234567),
            ("1.234,5", "1.234,5", 1234.5),
            ("12,5", "1.234,5", 12.5),
            ("0,123", "1.234,5", 0.123),
            ("1,5E+03", "1.234,5", 1500),
            ("1 234,5", "1 234,5", 1234.5),
            ("1\u202f234,5", "1 234,5", 1234.5),
            ("1\u00a0234.5", "1 234.5", 1234.5),
            ("1'234.5", "1'234.5", 1234.5),
            ("1\u2019234.5", "1'234.5", 1234.5),
            ("\u2212 5,25", "1.234,5", -5.25),
            ("$9,608.39", "1,234.5 $", 9608.39),
            ("US$ 5.25", "1,234.5 US$", 5.25),
            ("-$5.25", "1,234.5 $", -5.25),
            ("$-5.25", "1,234.5 $", -5.25),
            ("($1,234.50)", "1,234.5 $", -1234.5),
            ("(12.5)", "1,234.5", -12.5),
            ("€ 12,50", "1.234,5 €", 12.5),
            ("12,50 EUR", "1.234,5 EUR", 12.5),
            ("CHF 1'234.50", "1'234.5 CHF", 1234.5),
            ("51.9%", "1,234.5 %", 51.9),
            ("51,9 %", "1.234,5 %", 51.9),
            ("\u20135.25", "1,234.5", -5.25),
            ("1.234,50-", "1.234,5", -1234.5),
            ("$12.50-", "1,234.5 $", -12.5),
            ("12.50- EUR", "1,234.5 EUR", -12.5),
            ("12,50 EUR-", "1.234,5 EUR", -12.5),
            ("6,893E+00", "1.234,5", 6.893),
            ("1.234E5", "1,234.5", 123_400),
            ("Rs. 12,34,567.00", "1,234.5 Rs.", 1234567),
            ("USD$12.50", "1,234.5 USD$", 12.5),
            ("NT$ 1,250.50", "1,234.5 NT$", 1250.5),
            ("12.50 lei", "1,234.5 lei", 12.5),
            ("RM47,816.63", "1,234.5 RM", 47816.63),
            ("12,50 Euro", "1.234,5 Euro", 12.5),
        ],
    )
    def test_a_text_and_its_value(self, text: str, name: str, value: float) -> None:
        found = values_of("number", text)
        assert found[name] == value
        # Whatever else it fits, it means the same there.
        assert set(found.values()) == {value}

    @pytest.mark.parametrize(
        "text",
        [
            *("12 kg", "5kg", "1_000", "", "-", "abc", "1 2", "1,23,4.5", "007,5", "01.234,5"),
            *("$5 EUR", "(-5)", "(5", "5)", "--5", "12,345,67", "1.2.3", "$", "%", "12%%", "5 BAR"),
            *("12,-", "12,- €", "12.-", "-12-", "(12-)", "12+", "5\u20136"),
            *("1'23", "1,2345,678", "10:30", "1-2", "\u0661\u0662"),
            *("Euro 4", "euros 4.50", "lei 5", "RM 101", "RM1", "Rs 1", "Rp 5", "MLB$1", "ABC$3"),
        ],
    )
    def test_what_is_no_number(self, text: str) -> None:
        assert values_of("number", text) == {}

    def test_letters_that_name_rooms_too_are_money_only_beside_decimals(self) -> None:
        assert number_formats(["RM 101", "RM 102"]) == number_formats(["101 RM"]) == ()
        assert number_formats(["RM 101", "RM 102.50"])[0] == "1,234.5 RM"
        assert number_formats(["1 234", "RM 101"]) == ("1 234,5", "1 234.5")

    def test_a_mark_before_three_digits_means_two_things(self) -> None:
        found = values_of("number", "1,234")
        assert (found["1,234.5"], found["1.234,5"]) == (1234, 1.234)

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("1,234.5 $", "9608.39", 9608.39),
            ("1,234.5 $", "9608.39 €", None),
            ("1,234.5 %", "0.519", None),
            ("1,234.5 %", "0", 0),
            ("1.234,5", "9608.39", None),
            ("1.234,5", "9.608", 9608),
            ("1,234.5", "5 $", None),
        ],
    )
    def test_a_stored_format_reads_nothing_else(
        self, name: str, text: str, value: float | None
    ) -> None:
        assert reader_of("number", name)(text) == value


class TestDates:
    @pytest.mark.parametrize(
        ("text", "name", "moment"),
        [
            ("2022-1-5", "y-m-d", (2022, 1, 5)),
            ("2022-01-31 10:05 AM", "y-m-d", (2022, 1, 31, 10, 5)),
            ("2022/1/5", "y/m/d", (2022, 1, 5)),
            ("2022.01.31", "y.m.d", (2022, 1, 31)),
            ("31.01.2022", "d.m.y", (2022, 1, 31)),
            ("31. 1. 2022", "d.m.y", (2022, 1, 31)),
            ("31.01.2022 14:05:30", "d.m.y", (2022, 1, 31, 14, 5, 30)),
            ("31/01/2022", "d/m/y", (2022, 1, 31)),
            ("01/31/2022", "m/d/y", (2022, 1, 31)),
            ("01/31/2022 2:30 PM", "m/d/y", (2022, 1, 31, 14, 30)),
            ("01/31/2022, 12:00:05 a.m.", "m/d/y", (2022, 1, 31, 0, 0, 5)),
            ("1-31-2022", "m-d-y", (2022, 1, 31)),
            ("31-1-2022", "d-m-y", (2022, 1, 31)),
            ("1/31/68", "m/d/y", (2068, 1, 31)),
            ("1/31/69", "m/d/y", (1969, 1, 31)),
            ("31 Jan 2022", "d mon y", (2022, 1, 31)),
            ("31. January 2022", "d mon y", (2022, 1, 31)),
            ("31-JAN-22", "d mon y", (2022, 1, 31)),
            ("31JAN2022", "d mon y", (2022, 1, 31)),
            ("Mon, 31 Jan 2022 10:00:00 +0130", "d mon y", (2022, 1, 31, 8, 30)),
            ("Jan 31, 2022", "mon d, y", (2022, 1, 31)),
            ("September 3rd 2022", "mon d, y", (2022, 9, 3)),
            ("2022-Jan-31", "y mon d", (2022, 1, 31)),
            ("May 2022", "mon y", (2022, 5, 1)),
            ("20220131", "ymd", (2022, 1, 31)),
            ("20141013T000000", "ymd", (2014, 10, 13)),
            ("14:30", "h:m", (1970, 1, 1, 14, 30)),
            ("2:30 pm", "h:m", (1970, 1, 1, 14, 30)),
            ("12:00 am", "h:m", (1970, 1, 1)),
            ("40:05:10", "h:m", (1970, 1, 2, 16, 5, 10)),
            ("2 days 10:44:00", "h:m", (1970, 1, 3, 10, 44)),
            ("10:00 UTC", "h:m", (1970, 1, 1, 10)),
            ("-1 days +23:50:00", "h:m", (1969, 12, 31, 23, 50)),
            ("2022/01/31 2:05:33 PM GMT+1", "y/m/d", (2022, 1, 31, 13, 5, 33)),
            ("31.01.2022 10:00 UTC-03:30", "d.m.y", (2022, 1, 31, 13, 30)),
            ("2022-01-31 10:00:00 EST", "y-m-d", (2022, 1, 31, 15)),
            ("31.01.2022 10:00 MESZ", "d.m.y", (2022, 1, 31, 8)),
            ("2022-01-31T10:05:00+01:00[Europe/Berlin]", "y-m-d", (2022, 1, 31, 9, 5)),
            ("Mo, 31.01.2022", "d.m.y", (2022, 1, 31)),
            ("lunes, 31 de enero de 2022", "d mon y", (2022, 1, 31)),
            ("Mar 31, 2022", "mon d, y", (2022, 3, 31)),
            ("Mon 2022-01-31", "y-m-d", (2022, 1, 31)),
            ("Monday, 31.01.2022", "d.m.y", (2022, 1, 31)),
            ("Mon 31/01/2022", "d/m/y", (2022, 1, 31)),
            ("Mon Jan 31 10:05:00 2022", "mon d h:m y", (2022, 1, 31, 10, 5)),
            ("Mon Jan  3 10:05:00 UTC 2022", "mon d h:m y", (2022, 1, 3, 10, 5)),
            ("31/Jan/2022:10:05:00 +0100", "d mon y", (2022, 1, 31, 9, 5)),
            ("2022-01-31 10:05:00,250", "y-m-d", (2022, 1, 31, 10, 5, 0, 250_000)),
            ("2022:01:31 10:05:00", "y:m:d", (2022, 1, 31, 10, 5)),
            ("2022_01_31", "y_m_d", (2022, 1, 31)),
            ("2022年1月31日", "y年m月d日", (2022, 1, 31)),
            ("31.01.2022 10:05 Uhr", "d.m.y", (2022, 1, 31, 10, 5)),
            ("31. März 2022", "d mon y", (2022, 3, 31)),
            ("31 janv. 2022", "d mon y", (2022, 1, 31)),
            ("31 de diciembre de 2022", "d mon y", (2022, 12, 31)),
            ("2022 May", "y mon", (2022, 5, 1)),
            ("05/2022", "m/y", (2022, 5, 1)),
            ("05-2022", "m-y", (2022, 5, 1)),
            ("2022Q4", "yQq", (2022, 10, 1)),
            ("2022-Q1", "yQq", (2022, 1, 1)),
            ("Q2 2022", "Qq y", (2022, 4, 1)),
            ("2022-W05", "y-Ww", (2022, 1, 31)),
            ("2022W057", "y-Ww", (2022, 2, 6)),
            ("202201311005", "ymd", (2022, 1, 31, 10, 5)),
            ("2022013110", "ymd", (2022, 1, 31, 10)),
        ],
    )
    def test_a_text_and_its_moment(self, text: str, name: str, moment: tuple[int, ...]) -> None:
        seconds = datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]
        found = values_of("date", text)
        assert found[name] == seconds
        others = {other for other in found if other != name}
        assert others <= {"yy/m/d", "yy-m-d"}

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "2022-02-30",
                "31/31/2022",
                "31.13.2022",
                "May",
                "10",
                "1.5",
                "2022",
                "12 kg",
                "1,234",
            ),
            *("202213", "20221301", "31 Foo 2022", "25:00", "14:60", "13:00 pm", "0:30 am", "1/2"),
            *("2022Q5", "Q0 2022", "2022-W54", "13/2022", "5/2022", "05/1022", "3/4", "12/31"),
            *("1.10.2", "31/01-2022", "10.30", "01/02/2022x", "1/2/022", "", "31.01.2022 25:00"),
            *("31.01.2022 25:00:00", "10:05-11", "2 days", "12:00 +5"),
            *("00:30 CET", "23:00 PST", "10:00 GMT+1", "10:00 GMT[Europe/London]"),
        ],
    )
    def test_what_is_no_date(self, text: str) -> None:
        assert values_of("date", text) == {}

    def test_an_order_may_stay_open(self) -> None:
        assert set(values_of("date", "01/02/2022")) == {"d/m/y", "m/d/y"}
        assert set(values_of("date", "12-05-10")) == {"d-m-y", "m-d-y", "yy-m-d"}


@pytest.mark.parametrize("name", [None, *DATE_FORMATS])
def test_the_example_of_a_date_format_is_in_it(name: str | None) -> None:
    assert reader_of("date", name)(example_of("date", name)) is not None


@pytest.mark.parametrize("name", [None, "1,234.5", "1.234,5 €", "1,234.5 %"])
def test_the_example_of_a_number_format_is_in_it(name: str | None) -> None:
    assert reader_of("number", name)(example_of("number", name)) == 1234.5


def test_marks_of_a_missing_value() -> None:
    for text in ("?", "\\N", "-", "--", ".", "*", "(null)", "None", "missing", "n.a.", "#DIV/0!"):
        assert is_mark(text)
    for text in ("#N/D", "#NV", "#WERT!", "#NOM?", "#¡VALOR!", "#¿NOMBRE?", "#DEEL/0!", "#####"):
        assert is_mark(text), text
    for text in ("a", "0", "+", "no", "Total", "", "#1", "#a", "#", "!"):
        assert not is_mark(text)
