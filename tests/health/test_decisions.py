"""What a watcher decided, as it is written down."""

import json
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.health.decisions import Decision, Word, decisions


def test_a_decision_is_one_line_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for attempt in range(2):
        Decision(Word.RETRY, "line\nbreak", attempt, "s").append_to(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["attempt"] for line in lines] == [0, 1]
    assert lines[0]["time"].endswith("Z") and lines[0]["schema_version"] == 1


@pytest.mark.parametrize("value", [-1.5, True, "x", "../etc", [1], None])
@pytest.mark.parametrize("key", ["attempt", "study", "changed", "then", "asked"])
def test_what_is_no_decision_is_passed_over(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "decisions.jsonl"
    right = Decision(Word.RETRY, "why", 0, "s", then={"seed": 1})
    right.append_to(path)
    odd = json.loads(path.read_text()) | {key: value}
    with path.open("a") as file:
        file.write(json.dumps(odd) + "\n")
    kept = (key == "study" and value == "x") or (key == "then" and value is None)
    assert len(list(decisions(path))) == 1 + kept
