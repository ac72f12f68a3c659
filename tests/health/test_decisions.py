"""What a watcher decided, as it is written down."""

import json
from pathlib import Path

from journal_launcher.health.decisions import Decision, Word


def test_a_decision_is_one_line_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for attempt in range(2):
        Decision(Word.RETRY, "line\nbreak", attempt, "s").append_to(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["attempt"] for line in lines] == [0, 1]
    assert lines[0]["time"].endswith("Z") and lines[0]["schema_version"] == 1
