"""`describe`: how a table is read, printed and as JSON; nothing is trained or written."""

import json
from pathlib import Path

import pytest
from tabular.data.tables import ROWS, columns, csv_of

from journal_launcher.__main__ import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["describe", *arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def table(tmp_path: Path) -> str:
    more = {
        "amount": [f"${place},{place:03d}.00" for place in range(1, ROWS + 1)],
        "uid": [f"{place:08x}" for place in range(ROWS)],
        "gaps": ["0.5", "?", "1.5"] * 20,
        "total": [*(place + 0.5 for place in range(59)), "Total"],
    }
    return csv_of(tmp_path, columns(**more))


def test_a_table_is_described(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(table, "--target", "y") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == (
        "table.csv: 60 rows, regression of y; 4 numbers, 1 category; left out: uid (never repeats)"
    )
    lines = {line.split()[0]: line.split() for line in shown[3:10]}
    assert lines["amount"] == ["amount", "number", "1,234.5", "$", "$1,001.00"]
    assert lines["gaps"] == ["gaps", "number", "0.5", "33.3%"]
    assert lines["uid"] == ["uid", "category", "00000000", "left", "out:", "never", "repeats"]
    assert lines["y"][-1] == "target"
    assert shown[-1].startswith("doubt: column 'total': numbers but for 'Total' in row 60")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_one_json_object(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", table, "--target", "y", "--group-column", "colour", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["task"], told["n_rows"]) == (1, "regression", 60)
    found = {column["name"]: column for column in told["columns"]}
    assert found["amount"]["format"] == "1,234.5 $"
    roles = {name: column["role"] for name, column in found.items()}
    assert (roles["y"], roles["colour"], roles["uid"]) == (
        "target",
        "group",
        "left out: never repeats",
    )
    assert len(told["doubts"]) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["TABLE"], "needs --target COLUMN, one of x, colour, y"),
        (["TABLE", "--target", "why"], "--target why: no such column; there are x"),
        (["TABLE", "--data", "sklearn:iris"], "expected one table, found"),
        (["nothing.csv", "--target", "y"], "no such file"),
        (["sklearn:iris", "--target", "y"], "a bundled data set has its own"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    table: str, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert run(*(table if word == "TABLE" else word for word in arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and expected in printed.err


def test_a_bundled_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sklearn:iris") == 0
    assert capsys.readouterr().out.startswith(
        "sklearn:iris: 150 rows, classification of target (3 classes); 4 numbers\n"
    )
