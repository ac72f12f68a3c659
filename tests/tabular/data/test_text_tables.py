"""Text tables as people have them: what belongs to the file is found in it, and cells are kept."""

import gzip
import io
import itertools
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data import text_tables
from journal_launcher.tabular.data.frames import TableFile
from journal_launcher.tabular.data.readers import read_file

ROWS = "name;price\nSmith, J;1,5\nDoe, A;2,25\n"


def read(folder: Path, content: str | bytes, name: str = "table.csv") -> TableFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSeparators:
    @pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt"])
    def test_each_is_found_in_any_file(self, tmp_path: Path, sign: str, ending: str) -> None:
        content = 'a,"b c",d\n1,x,2.5\n3,"y, z",4\n'.replace(",", sign)
        table = read(tmp_path, content, f"table{ending}")
        assert table.frame.columns.tolist() == ["a", "b c", "d"] and table.notes == ()
        assert table.frame["d"].tolist() == [2.5, 4] and table.format.separator == sign
        assert table.frame["b c"].tolist() == ["x", f"y{sign} z"]

    def test_decimal_commas_and_commas_in_texts_are_no_separators(self, tmp_path: Path) -> None:
        table = read(tmp_path, ROWS)
        assert table.frame.to_numpy().tolist() == [["Smith, J", "1,5"], ["Doe, A", "2,25"]]
        assert table.notes == ()

    def test_the_sign_that_cuts_more_columns_is_taken_and_said(self, tmp_path: Path) -> None:
        table = read(tmp_path, "id;net, EUR;n\n1;1,5;2\n2;2,5;3\n")
        assert table.frame.columns.tolist() == ["id", "net, EUR", "n"]
        assert table.notes == (
            "columns are separated by ';'; ',' would divide the rows as evenly: write names "
            "without it into the header if that is wrong",
        )

    def test_a_sign_in_the_header_alone_is_none(self, tmp_path: Path) -> None:
        table = read(tmp_path, "a;b,c;d\n1,2\n3,4\n")
        assert table.frame.columns.tolist() == ["a;b", "c;d"] and table.notes == ()

    @pytest.mark.parametrize("line", ["sep=;\n", '"sep=;"\r\n', "\ufeffsep=;\n"])
    def test_the_line_in_which_excel_says_it(self, tmp_path: Path, line: str) -> None:
        table = read(tmp_path, line + ROWS)
        assert table.frame.to_numpy().tolist()[1] == ["Doe, A", "2,25"]
        assert "row 1 (line 3): expected 2 fields" in refusal(tmp_path, line + "a;b\n1\n")

    def test_one_column_needs_none(self, tmp_path: Path) -> None:
        assert read(tmp_path, "y\n1\n2\n").frame["y"].tolist() == [1, 2]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
    def test_what_the_first_bytes_say(self, tmp_path: Path, encoding: str) -> None:
        table = read(tmp_path, "näme,b\nß,1\n日本,2\n".encode(encoding))
        assert table.frame["näme"].tolist() == ["ß", "日本"] and table.notes == ()
        assert table.format.encoding == encoding.upper().removesuffix("-SIG")

    @pytest.mark.parametrize(
        "texts",
        [
            ("café", "naïve"),
            ("Müller", "Straße"),
            ("smørrebrød",),
            ("5 €", "20 °C"),
            ("l\u2019été", "«a»"),
            ("SÃO «IRMÃ»", "\u201cIRMÃ\u201d", "IRMÃ\u2019", "MANHÃ\u2013TARDE", "Â\u2014"),
        ],
    )
    def test_western_european_is_certain_and_said(
        self, tmp_path: Path, texts: tuple[str, ...]
    ) -> None:
        content = "a,b\n" + "".join(f"{text},1\n" for text in texts)
        table = read(tmp_path, content.encode("cp1252"))
        assert tuple(table.frame["a"]) == texts
        assert table.format.encoding == "Windows-1252"
        assert "not UTF-8: read as Windows-1252 (Western European); if" in table.notes[0]

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("Привет", "cp1251"),
            ("привет", "koi8-r"),
            ("łódź", "cp1250"),
            ("şeker", "cp1254"),
            ("Ελλάδα", "cp1253"),
            ("日本", "shift-jis"),
            ("中国人", "gbk"),
            ("Köln", "cp437"),
            ("señor", "mac-roman"),
            ("été", "cp437"),
        ],
    )
    def test_another_one_is_refused(self, tmp_path: Path, text: str, encoding: str) -> None:
        found = refusal(tmp_path, f"a,b\nx,1\n{text},2\n".encode(encoding))
        assert found.startswith("line 3: expected UTF-8, found byte 0x") and "iconv" in found


class TestPacked:
    @pytest.mark.parametrize("ending", [".csv.gz", ".tsv.zst", ".TXT.ZST"])
    def test_text_is_read_through_it(self, tmp_path: Path, ending: str) -> None:
        pack = gzip.compress if ending.endswith("gz") else zstd.compress
        packed, plain = tmp_path / f"table{ending}", read(tmp_path, ROWS)
        packed.write_bytes(pack(ROWS.encode()))
        table = read_file(packed)
        assert table.frame.equals(plain.frame)
        assert table.format.compression == ending.lower().rpartition(".")[2]
        assert fingerprint(str(packed)) == fingerprint(str(tmp_path / "table.csv"))

    @pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", zstd.compress(b"a,b\n" * 999)[:-9]])
    def test_damage_is_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "table.csv.zst"
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read_file(path)
        assert "\n" not in str(caught.value)
        if content:
            with pytest.raises(UsageError):
                fingerprint(str(path))


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "sign"),
        [
            (["2.270", "600"], ","),
            (["2.270", "3.145"], ";"),
            (["1.2023", "01.2023", "12.2023"], ","),
            (["10.2023", "01.2023"], ","),
            (["401.9", "008.45"], ","),
            (["3E2", "12"], ","),
            (["4.15620E+12", "4.1E+12"], ","),
        ],
    )
    def test_numbers_whose_digits_matter_stay_as_written(
        self, tmp_path: Path, cells: list[str], sign: str
    ) -> None:
        rows = "".join(f"{cell}{sign}x\n" for cell in cells)
        assert read(tmp_path, f"a{sign}b\n{rows}").frame["a"].tolist() == cells

    @pytest.mark.parametrize("cells", [["2.270", "3.145"], ["2.27", "600"], ["0.270", "5"]])
    def test_others_do_not(self, tmp_path: Path, cells: list[str]) -> None:
        rows = "".join(f"{cell},x\n" for cell in cells)
        assert read(tmp_path, f"a,b\n{rows}").frame["a"].tolist() == list(map(float, cells))

    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            (["1", "-2", "+3"], [1, -2, 3]),
            (["1.5", ".5", "5.", "1e3", "2E-1"], [1.5, 0.5, 5, 1000, 0.2]),
            (["01", "2"], ["01", "2"]),
            (['"00501"', "2"], ["00501", "2"]),
            (["-007", "2"], ["-007", "2"]),
            (["007", "1.0"], ["007", "1.0"]),
            (["00.5", "1"], ["00.5", "1"]),
            ([*["1.5"] * 150, "007"], [*[1.5] * 150, 7]),
            (["007", *["1.5"] * 150], [7, *[1.5] * 150]),
            (["7", "", "007"], ["7", None, "007"]),
            (["9007199254740992", "1"], [2**53, 1]),
            (["9007199254740993", "1"], ["9007199254740993", "1"]),
            (["9007199254740993", "", "1"], ["9007199254740993", None, "1"]),
            (["18446744073709551617", "1"], ["18446744073709551617", "1"]),
            (["1e20", "1"], [1e20, 1]),
            (["true", "false", ""], ["true", "false", None]),
            (["TRUE", "False"], ["TRUE", "False"]),
            ([*["1"] * 150, "true"], [*["1"] * 150, "true"]),
            ([*[""] * 150, "true"], [*[None] * 150, "true"]),
            (["?", "1.50"], ["?", "1.50"]),
            (["\\N", "-"], ["\\N", "-"]),
            (['" 12 "', "x "], ["12", "x"]),
            (["NA ", "x"], [None, "x"]),
            (["0x1A", "1_000"], ["0x1A", "1_000"]),
            (["inf", "1"], [float("inf"), 1]),
        ],
    )
    def test_only_plain_numbers_are_numbers(
        self, tmp_path: Path, cells: list[str], expected: list[object]
    ) -> None:
        rows = "".join(f"{cell},x\n" for cell in cells)
        column = read(tmp_path, f"a,b\n{rows}").frame["a"]
        assert [None if pd.isna(cell) else cell for cell in column] == expected
        assert (column.dtype.kind in "fi") == (not any(isinstance(cell, str) for cell in expected))

    def test_dates_beside_whole_numbers_change_nothing(self, tmp_path: Path) -> None:
        frame = read(tmp_path, "day,n,x\n01/02/2022,7,0.5\n11/02/2022,10,1e-05\n").frame
        assert frame["n"].tolist() == [7, 10] and frame["day"].tolist()[0] == "01/02/2022"
        assert frame["x"].tolist() == [0.5, 1e-05]

    def test_a_cell_may_be_long(self, tmp_path: Path) -> None:
        text = "x " * 100_000 + "y"
        assert read(tmp_path, f'a,b\n1,"{text}"\n').frame["b"].tolist() == [text]

    @pytest.mark.parametrize("code", ["007", '"007"', " 007", "-007", ' "+00.0"'])
    def test_codes_far_down_are_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        monkeypatch.setattr(text_tables, "_CHUNK", 64)
        content = "a,b\n" + "1,2\n" * 500 + f"{code},2\n"
        frame = read(tmp_path, content).frame
        assert frame["a"].tolist()[-1] == code.strip(' "') and frame["b"].dtype.kind == "i"


class TestRows:
    def test_quotes_inside_a_field_quote_nothing(self, tmp_path: Path) -> None:
        assert "row 1 (line 2): expected 2 fields" in refusal(tmp_path, 'a,b\n5" a,b",d\n')
        assert "row 1 (line 2): expected 2 fields" in refusal(tmp_path, 'a,b\n"a"\n1,2\n')
        frame = read(tmp_path, 'a,b\n5" pipe,"6"", ""7"\n').frame
        assert frame.to_numpy().tolist() == [['5" pipe', '6", "7']]

    @settings(max_examples=300)
    @given(st.lists(st.text('a ",\r\n', max_size=12), min_size=1, max_size=8).map("\n".join))
    def test_the_short_way_counts_as_the_parser_does(self, text: str) -> None:
        """Where the short way answers at all, the parser must say the same of the rows."""
        content = f"a,a\n{text}\n".encode()
        layout = text_tables._Layout(0, ",", ["a", "b"], frozenset(), frozenset(), ())
        quoted = text_tables._quoted_field(",")
        rows = text_tables._even_rows(content, layout, quoted)
        try:
            lines = text_tables._lines(io.BytesIO(content))
            parsed = [len(row) for _, row in text_tables._records(lines, ",")]
        except ValueError:
            parsed = [-1]
        if rows is not None:
            assert parsed == [2] * rows

    @settings(max_examples=100)
    @given(
        st.lists(st.sampled_from(["1,2", '"1",2', '"a,b",2', '"a\nb",2', "1", "1,2,3", ""]),
                 min_size=1, max_size=12),
        st.sampled_from([1, 5, 20, 1 << 20]),
    )  # fmt: skip
    def test_where_the_file_is_cut_for_reading_changes_nothing(
        self, lines: list[str], size: int
    ) -> None:
        good = [line for line in lines if line not in ("1", "1,2,3")]
        first = next((n for n, line in enumerate(lines) if line in ("1", "1,2,3")), None)
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_tables, "_CHUNK", size)
            content = "\n".join(["a,b", "0,0", *lines, ""])
            if first is None:
                frame = read(Path(folder), content).frame
                assert len(frame) == 1 + sum(map(bool, good))
                return
            row = 2 + sum(map(bool, lines[:first]))
            line = 3 + first + sum(text.count("\n") for text in lines[:first])
            assert f"row {row} (line {line}): " in refusal(Path(folder), content)


class TestEmptyColumns:
    def test_trailing_separators_make_none(self, tmp_path: Path) -> None:
        table = read(tmp_path, "a,b, \n1,x,\n2,y, \n")
        assert table.frame.columns.tolist() == ["a", "b"]
        assert table.notes == ("column 3 without a name and values: left out",)

    def test_anywhere_and_many(self, tmp_path: Path) -> None:
        table = read(tmp_path, ",a,,b,,\n,1,,x,,\n,2,NA,y,,\n")
        assert table.frame.to_numpy().tolist() == [[1, "x"], [2, "y"]]
        assert table.notes == ("columns 1, 3, 5, 6 without a name and values: left out",)

    def test_values_want_a_name(self, tmp_path: Path) -> None:
        found = refusal(tmp_path, "a,,c\n1,,3\n1,7,3\n")
        assert found == "column 2 has no name: write one into the header, row 2 holds '7.0' there"
        assert read(tmp_path, ",a\n0,5\n1,6\n").frame.columns.tolist() == ["", "a"]

    def test_a_table_of_nothing(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, ",\n,\n") == "expected columns with names, found none"


class TestFooters:
    NUMBERS = "size,z,y\n0.1,2,3\n-0.1,4,5\n0.6,6,7\n"

    @pytest.mark.parametrize(
        "footer",
        [
            "Total,,",
            '"Source: office of statistics",,',
            "Stand 31. Dezember,,",
            "TOTAL,12,15",
            "Mean,4.0,5.0",
            "Summe,,15",
            "Total,12,15\nMean,4,5\nSource: x,,",
        ],
    )
    def test_the_table_is_the_one_above_it(self, tmp_path: Path, footer: str) -> None:
        clean = read(tmp_path, self.NUMBERS)
        table = read(tmp_path, self.NUMBERS + footer + "\n")
        pd.testing.assert_frame_equal(table.frame, clean.frame, check_dtype=False)
        assert len(table.notes) == footer.count("\n") + 1
        assert table.notes[0].startswith("row 4, '") and "footer below the table" in table.notes[0]

    def test_below_a_column_of_names(self, tmp_path: Path) -> None:
        table = read(tmp_path, "name,y\nu,1\nv,2\nw,4\nTotal,7\n")
        assert table.frame["name"].tolist() == ["u", "v", "w"]
        assert table.notes == ("row 4, 'Total', is a footer below the table: left out",)

    @pytest.mark.parametrize(
        "rows",
        [
            'n,y\nu,"$1,000.50"\nv,"$2,000.50"\nw,$500\nTotal,"$3,501.00"\n',
            "n;y\nu;1.000,5\nv;2.000,5\nw;500\nTotal;3.501\n",
            "n;y\nu;1,5\nv;2,5\nw;2\nMittelwert;2,0\n",
        ],
    )
    def test_sums_of_amounts_as_they_are_written(self, tmp_path: Path, rows: str) -> None:
        table = read(tmp_path, rows)
        assert table.frame["n"].tolist() == ["u", "v", "w"] and "is a footer" in table.notes[0]

    def test_what_may_be_a_row_is_kept_and_said(self, tmp_path: Path) -> None:
        table = read(tmp_path, "name,y\nu,1\nv,2\nw,4\nTotal,9\n")
        assert len(table.frame) == 4
        assert table.notes == (
            "row 4 begins with 'Total' and is kept: remove it from the file if it sums up the "
            "rows above",
        )

    @pytest.mark.parametrize(
        "last", ["id4,,", "unknown,,", "?,,", "0.7,,", ",,", "total,1,2\nx,1,2", "3 rooms,1,2"]
    )
    def test_a_row_like_others_is_none(self, tmp_path: Path, last: str) -> None:
        table = read(tmp_path, f"size,z,y\nid1,2,3\ntotal,4,5\n{last}\n")
        assert len(table.frame) == 3 + last.count("\n") and table.notes == ()
        table = read(tmp_path, f"{self.NUMBERS}{last.replace('total', 'x')}\n")
        assert len(table.frame) == 4 + last.count("\n") and table.notes == ()

    @pytest.mark.parametrize(
        "rows",
        [
            "ch,k\n" + "media,1\n" * 5,
            "ch,k\ntv,2\nweb,2\n" + "media,2\n" * 3,
            "ch,k\ntv,0\nTotal,0\nweb,0\ntv,0\nTotal,0\n",
            "sex,share\n" + "M,0.498\nF,0.502\nTotal,0.5\n" * 20,
            "a,b,y\n" + "1,2,Data: x\n1,3,Data: y\n" * 3 + ",,Data: x\n",
        ],
        ids=["alone", "at the end", "once above", "in turn", "a target"],
    )
    def test_a_text_that_its_column_has_above_is_a_value(self, tmp_path: Path, rows: str) -> None:
        table = read(tmp_path, rows)
        assert len(table.frame) == rows.count("\n") - 1 and table.notes == ()

    ROWS = tuple((f"{'ABC'[n % 3]}", n % 7 + 1, 1.5 * n) for n in range(12))

    @pytest.mark.parametrize("word", ["", "Yekun", "Σ"])
    def test_sums_of_all_rows_are_a_footer_whatever_stands_beside_them(
        self, tmp_path: Path, word: str
    ) -> None:
        rows = "".join(f"{a},{b},{c}\n" for a, b, c in self.ROWS)
        sums = f"{word},{sum(b for _, b, _ in self.ROWS)},{sum(c for *_, c in self.ROWS)}\n"
        table = read(tmp_path, "item,qty,amount\n" + rows + sums)
        assert len(table.frame) == 12 and table.format.footer == 1
        assert table.notes == ("row 13, the sums of the rows above, is a footer: left out",)
        assert table.frame["qty"].dtype.kind in "fi"

    @pytest.mark.parametrize("word", ["", "All items"])
    def test_sums_above_all_rows_are_left_out(self, tmp_path: Path, word: str) -> None:
        rows = "".join(f"{a},{b},{c}\n" for a, b, c in self.ROWS)
        sums = f"{word},{sum(b for _, b, _ in self.ROWS)},{sum(c for *_, c in self.ROWS)}\n"
        table = read(tmp_path, "item,qty,amount\n" + sums + rows)
        assert len(table.frame) == 12 and table.format.subtotals == 1
        assert table.notes == ("row 1, the sums of the rows below: left out",)
        assert table.frame.index[0] == 1

    @pytest.mark.parametrize(
        "label", ["Gesamtergebnis", "Total geral", "Class average", "Std. Dev."]
    )
    def test_what_sums_up_by_its_name_alone_is_said(self, tmp_path: Path, label: str) -> None:
        rows = "".join(f"{a},{b},{c}\n" for a, b, c in self.ROWS)
        table = read(tmp_path, f"item,qty,amount\n{rows}{label},4,0.5\n")
        assert len(table.frame) == 13
        assert table.notes[0].startswith(f"row 13 begins with {label!r} and is kept")

    @pytest.mark.parametrize(
        "column", [["600", "1.200", "350", "2.100"], ["250.0", "008.45", "401.9", "3.5"]]
    )
    def test_digits_that_matter_stay_where_rows_are_left_out(
        self, tmp_path: Path, column: list[str]
    ) -> None:
        rows = "".join(f"u{n};{cell};{n},25\n" for n, cell in enumerate(column))
        table = read(tmp_path, f"name;n;price\n{rows}Summe;;7,00\n")
        assert table.format.footer == 1 and table.frame["n"].tolist() == column
        table = read(tmp_path, f"name;n;price\n{rows}name;n;price\n")
        assert table.format.headers == 1 and table.frame["n"].tolist() == column

    def test_a_mean_above_the_sums_is_left_out_too(self, tmp_path: Path) -> None:
        rows = "".join(f"u{n},{n}\n" for n in range(1500))
        table = read(tmp_path, f"name,y\n{rows}Average,749.5\nTotal,1124250\n")
        assert len(table.frame) == 1500 and table.format.footer == 2

    def test_twice_as_much_in_every_row_is_no_sum(self, tmp_path: Path) -> None:
        rows = "".join(f"u{n},{2**n},{3 * 2**n}\n" for n in range(12))
        assert len(read(tmp_path, f"name,a,b\n{rows}").frame) == 12

    @pytest.mark.parametrize("last", ["A,41,99.0", ",41,98.0", ",41,", ",,98.0", "A,B,99.0"])
    def test_other_last_rows_are_rows(self, tmp_path: Path, last: str) -> None:
        rows = "".join(f"{a},{b},{c}\n" for a, b, c in self.ROWS)
        assert len(read(tmp_path, f"item,qty,amount\n{rows}{last}\n").frame) == 13

    def test_the_whole_of_a_footer_is_judged_by_the_rows_above_it(self, tmp_path: Path) -> None:
        table = read(tmp_path, "name,y\nu,1\nv,2\nw,4\nTotal,9\nMean,4\n")
        assert len(table.frame) == 4 and table.frame["y"].tolist() == [1, 2, 4, 9]
        assert [note[:6] for note in table.notes] == ["row 4 ", "row 5,"]

    @pytest.mark.parametrize(
        "last", ["Total,12,15", "Total,,", "Source: x,,", "Total,12,15\nMean,4,5"]
    )
    def test_no_row_is_left_out_where_all_are_to_be_kept(self, tmp_path: Path, last: str) -> None:
        (tmp_path / "t.csv").write_text(f"{self.NUMBERS}{last}\n")
        table = read_file(tmp_path / "t.csv", keep_rows=True)
        assert len(table.frame) == 4 + last.count("\n")
        assert table.notes == () and table.format.footer == 0

    def test_texts_that_are_asked_for_stay_texts(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(self.NUMBERS + "Total,,\n")
        assert read_file(tmp_path / "t.csv", {"size"}).frame["size"].tolist() == [
            "0.1",
            "-0.1",
            "0.6",
        ]


class TestAboveTheHeader:
    TABLE = "g,x\nu,1\nv,2\n"

    @pytest.mark.parametrize(
        "above",
        [
            "# exported 2024-01-01\n",
            "# exported, by me\n",
            "\n// a\n\n# b, c, d\n",
            "Sales of 2024\n\n",
            "Sales by month\nmade in 2024\n\n",
            "Sales of 2024,\n,\n",
            "Sales of 2024,\n",
            "Sales of 2024\n",
        ],
    )
    def test_comments_and_titles_are_left_out_and_said(self, tmp_path: Path, above: str) -> None:
        table = read(tmp_path, above + self.TABLE)
        assert table.frame["g"].tolist() == ["u", "v"] and table.frame["x"].tolist() == [1, 2]
        (note,) = table.notes
        assert "above the header, '" in note and note.endswith("left out")
        line = above.count("\n") + 2
        assert f"row 1 (line {line}): expected 2 f" in refusal(
            tmp_path, above + "g,x\nu\nv,2\nw,3\n"
        )

    @pytest.mark.parametrize(
        ("content", "names"),
        [
            ("#g,x\nu,1\nv,2\n", ["#g", "x"]),
            ("# made by me\n#g,x\nu,1\nv,2\n", ["#g", "x"]),
            ("# g,h\nu,a\nv,b\n", ["# g", "h"]),
            ("# y\n1\n2\n", ["# y"]),
            ("y\n\n1\n2\n", ["y"]),
            ("g,x\n\nu,1\nv,2\n", ["g", "x"]),
            ("g,\nu,\nv,\n", ["g"]),
            ('g,x\n"u\n\nw;z",1\nv,2\n', ["g", "x"]),
        ],
    )
    def test_a_header_is_none_of_them(self, tmp_path: Path, content: str, names: list[str]) -> None:
        assert read(tmp_path, content).frame.columns.tolist() == names

    @pytest.mark.parametrize("content", ["y\n1,2\n3,4\n", "name\nu,v\nw,z\n", "# a\n1,2\n3,4\n"])
    def test_what_shows_no_header_stays_refused(self, tmp_path: Path, content: str) -> None:
        assert "found 2; if line 1 is a title, remove it" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (b"a\tb\n1\tu\t2\n", "if rows begin with their names, give that column a name, too"),
        (b'a,b\n"he said \\"no\\", ok",2\n', 'a quote in a field is written twice, "" and not \\"'),
        (b'"a" "b"\n"1" 2\n', "columns are separated by , ; | or tabs"),
        (b"5.1,5.1,u\n4.9,3.0,v\n", "found '5.1' 2 times; the first row must hold the names"),
        ("a,b\nö,1\n".encode() + b"\xf6,2\n", "lines above are UTF-8: write this one and others"),
    ],
)
def test_a_refusal_names_the_cure(tmp_path: Path, content: bytes, cure: str) -> None:
    assert cure in refusal(tmp_path, content)


class TestRepeatedHeaders:
    FILE = "g,x,y\nu,1,2\nv,3,4\ng,x,y\nu,5,6\nx,g,y\ng,x,y\nw,7,8\n"

    def test_they_are_left_out_and_said(self, tmp_path: Path) -> None:
        table = read(tmp_path, self.FILE.replace("x,g,y\n", ""))
        assert table.frame["x"].tolist() == [1, 3, 5, 7] and table.format.headers == 2
        assert table.frame.index.tolist() == [0, 1, 3, 5], "rows are those of the file"
        assert table.notes == ("2 rows with the names of the columns (row 3): left out",)

    def test_a_row_that_is_not_the_header_stays(self, tmp_path: Path) -> None:
        assert "g" in read(tmp_path, self.FILE).frame["x"].tolist()

    def test_values_that_are_names_too_are_kept_and_doubted(self, tmp_path: Path) -> None:
        """Without a header the first row gives the names, and others may be equal to it."""
        (doubt,) = (kept := read(tmp_path, "yes,no\nno,no\nyes,no\nyes,yes\nyes,no\n")).doubts
        assert len(kept.frame) == 4 and kept.format.headers == 0 and kept.notes == ()
        assert doubt == (
            "2 rows with the names of the columns (row 2): kept, as they may be values; if the "
            "first line is a header, remove them from the file, else write one above it"
        )
        many = read(tmp_path, "town,zip\n" + "town,zip\n" * 6 + "x,y\n" * 90)
        assert len(many.frame) == 96 and "6 rows with the names" in many.doubts[0]

    def test_any_number_is_left_out_above_numbers(self, tmp_path: Path) -> None:
        assert len(read(tmp_path, "g,n\n" + "u,1\ng,n\n" * 40 + "g,2\n").frame) == 41

    def test_in_a_table_of_texts_with_an_index(self, tmp_path: Path) -> None:
        table = read(tmp_path, ",a,b\n1,u,v\n,a,b\n2,w,x\n")
        assert table.frame["a"].tolist() == ["u", "w"]

    def test_predict_keeps_them(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(self.FILE)
        assert len(read_file(tmp_path / "t.csv", keep_rows=True).frame) == 7


class TestSubtotals:
    BLOCKS = "g,x,y\nu,1,2\nv,3,4\n{a},4,6\nw,5,6\nu,7,8\n{b},12,14\n"

    @pytest.mark.parametrize(
        ("labels", "last"),
        [
            (("Subtotal", "Subtotal"), ""),
            (("Total North", "Total South"), "Grand total,16,20\n"),
            (("North Total", "South Total"), "w,1,1\n"),
            (("Zwischensumme", "Summe"), ""),
        ],
    )
    def test_they_are_left_out_where_they_are_sums(
        self, tmp_path: Path, labels: tuple[str, str], last: str
    ) -> None:
        table = read(tmp_path, self.BLOCKS.format(a=labels[0], b=labels[1]) + last)
        kept = 4 + last.startswith("w")
        assert table.frame["x"].tolist() == [1, 3, 5, 7, 1][:kept]
        assert table.frame.index.tolist() == [0, 1, 3, 4, 6][:kept], "rows are those of the file"
        shown = f"row 3 ({labels[0]!r}), row 6 ({labels[1]!r})"
        if "Grand" in last:
            shown += ", row 7 ('Grand total')"
        assert table.notes == (f"{shown}: sums of rows above, left out",)
        assert (table.format.subtotals, table.format.footer) == (2 + ("Grand" in last), 0)

    def test_a_column_of_numbers_is_one_without_them(self, tmp_path: Path) -> None:
        table = read(tmp_path, "n,x\n1,1\n2,3\nTotal,4\n3,5\n")
        assert table.frame["n"].tolist() == [1, 2, 3]

    def test_what_may_be_sums_is_kept_and_doubted(self, tmp_path: Path) -> None:
        table = read(tmp_path, self.BLOCKS.format(a="Total u", b="Total v").replace("12,14", "9,9"))
        assert len(table.frame) == 6 and table.notes == ()
        assert table.doubts == (
            "row 3 ('Total u'), row 6 ('Total v'): may be sums of other rows; if so, remove them "
            "from the file",
        )

    def test_names_with_such_a_word_are_none(self, tmp_path: Path) -> None:
        rows = self.BLOCKS.format(a="Total Recall", b="Sum Total").replace("12,14", "9,9")
        table = read(tmp_path, rows)
        assert len(table.frame) == 6 and table.doubts == ()

    def test_predict_keeps_them(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(self.BLOCKS.format(a="Subtotal", b="Subtotal"))
        assert len(read_file(tmp_path / "t.csv", keep_rows=True).frame) == 6


def test_every_way_at_once(tmp_path: Path) -> None:
    """A file out of a European Excel."""
    rows = itertools.chain(["Größe;Ort;Preis;"], (f"1,{n};Köln;{n};" for n in range(3, 6)))
    content = "\r\n".join([*rows, "Summe;;12;", ""])
    table = read(tmp_path, content.encode("cp1252"))
    assert table.frame["Größe"].tolist() == ["1,3", "1,4", "1,5"]
    assert table.frame["Preis"].tolist() == [3, 4, 5]
    assert [note.partition(":")[0] for note in table.notes] == [
        "not UTF-8",
        "column 4 without a name and values",
        "row 4, 'Summe', is a footer below the table",
    ]
