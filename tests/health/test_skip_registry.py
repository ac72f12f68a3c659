"""The skip registry: what counts, what resets, and what happens to its file."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.__main__ import main
from journal_launcher.base.errors import UsageError
from journal_launcher.base.verdict import Finding, Verdict
from journal_launcher.health.skip_registry import SkipRegistry, Subject
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.limits import SkipLimits

NET = Subject("neural_net", "sklearn:diabetes", None)
TREES = Subject("catboost", "sklearn:diabetes", None)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> SkipRegistry:
    return SkipRegistry(tmp_path / "skip_registry.json", SkipLimits(), clock)


def verdict(result: str, level: str = "critical") -> Verdict:
    finding = Finding("dead_units", level, 0.6, 0.5, "text")
    return Verdict("s", level, (finding,), result=result)


def judged(registry: SkipRegistry, results: str, subject: Subject = NET) -> None:
    """A letter for each result: c critical, w warning, o ok."""
    words = {"c": "critical", "w": "warning", "o": "ok"}
    before = sum(len(entry.judged) for entry in registry.entries())
    for number, letter in enumerate(results, start=before):
        registry.record(subject, verdict(f"result {number}", words[letter]))


@pytest.mark.parametrize(
    ("results", "skipped"),
    [("", False), ("cc", False), ("ccc", True), ("cccc", True), ("ccocc", False), ("ccwcc", False)],
)
def test_three_critical_results_in_a_row_skip(
    registry: SkipRegistry, results: str, skipped: bool
) -> None:
    judged(registry, results)
    assert (registry.skipped(NET) is not None) == skipped
    assert registry.skipped(TREES) is None


def test_data_and_target_are_other_subjects(registry: SkipRegistry) -> None:
    judged(registry, "ccc")
    assert registry.skipped(Subject("neural_net", "/data/a.csv", "y")) is None
    judged(registry, "ccc", Subject("neural_net", "/data/a.csv", "y"))
    assert registry.skipped(Subject("neural_net", "/data/a.csv", "z")) is None


def test_a_skip_ends_after_a_day_and_the_next_critical_result_renews_it(
    registry: SkipRegistry, clock: Clock
) -> None:
    judged(registry, "ccc")
    clock.pass_hours(23.9)
    entry = registry.skipped(NET)
    assert entry is not None and entry.skip_until == "2030-01-02T12:00:00Z"
    clock.pass_hours(0.2)
    assert registry.skipped(NET) is None
    judged(registry, "c")
    assert registry.skipped(NET) is not None
    judged(registry, "o")
    assert registry.skipped(NET) is None


def test_both_numbers_are_the_users(tmp_path: Path, clock: Clock) -> None:
    registry = SkipRegistry(tmp_path / "r.json", SkipLimits(critical_results=1, hours=1), clock)
    judged(registry, "c")
    assert registry.skipped(NET) is not None
    clock.pass_hours(1)
    assert registry.skipped(NET) is None


def test_a_result_counts_once_also_after_others(registry: SkipRegistry) -> None:
    for result in ["a", "a", "b", "a", "b"]:
        registry.record(NET, verdict(result))
    assert registry.skipped(NET) is None
    registry.record(NET, verdict("c", "ok"))
    registry.record(NET, verdict("a"))
    assert registry.entries()[0].critical_in_a_row == 0


def test_what_was_not_judged_never_counts(registry: SkipRegistry) -> None:
    assert registry.record(NET, verdict("a", "absent")) is None
    assert registry.entries() == [] and not registry.path.exists()


def test_clearing(registry: SkipRegistry) -> None:
    judged(registry, "ccc")
    judged(registry, "c", TREES)
    assert [entry.subject for entry in registry.clear(model_type="catboost")] == [TREES]
    assert registry.clear(model_type="catboost") == []
    assert registry.skipped(NET) is not None
    assert registry.clear(data="sklearn:wine") == []
    assert [entry.subject for entry in registry.clear()] == [NET]
    assert registry.skipped(NET) is None
    # What was counted before stays counted.
    registry.record(NET, verdict("result 0"))
    assert registry.entries()[0].critical_in_a_row == 0


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]",
        b'{"schema_version": 99, "entries": []}',
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "entries": [3]}',
        b'{"schema_version": 1, "entries": [{"model_type": "x"}]}',
    ],
)
def test_a_damaged_file_is_one_line_and_never_replaced(
    registry: SkipRegistry, damage: bytes
) -> None:
    registry.path.write_bytes(damage)
    for action in (
        lambda: registry.skipped(NET),
        lambda: registry.record(NET, verdict("a")),
        registry.entries,
        registry.clear,
    ):
        with pytest.raises(UsageError) as caught:
            action()
        assert "skip_registry.json" in str(caught.value) and "\n" not in str(caught.value)
    assert registry.path.read_bytes() == damage


def test_what_cannot_be_read_or_forgotten_is_one_line(
    registry: SkipRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--studies-dir", str(registry.path.parent)]
    for command, said in (
        (["clear"], "nothing to forget"),
        (["list"], "no model type is critical"),
    ):
        with pytest.raises(SystemExit):
            main(["skip", *command, *folder])
        assert said in capsys.readouterr().err
    registry.path.mkdir()
    with pytest.raises(SystemExit) as caught:
        main(["skip", "list", *folder])
    assert caught.value.code == 2
    assert re.fullmatch(r"error: .*cannot be read.*found a folder.*\n", capsys.readouterr().err)


@pytest.mark.parametrize("field", ["critical_in_a_row", "judged", "skip_until"])
def test_a_field_of_another_kind_is_damage(registry: SkipRegistry, field: str) -> None:
    judged(registry, "ccc")
    content = json.loads(registry.path.read_text())
    content["entries"][0][field] = {"no": 1}
    registry.path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"expected an entry.*found"):
        registry.skipped(NET)


RECORD = """
import sys
from pathlib import Path
from journal_launcher.base.verdict import Verdict
from journal_launcher.health.skip_registry import Subject
from journal_launcher.health.skip_registry import SkipRegistry

registry, writer = SkipRegistry(Path(sys.argv[1])), sys.argv[2]
for number in range(20):
    verdict = Verdict("s", "critical", result=f"{writer} {number}")
    registry.record(Subject(f"type {writer}", "d", "t"), verdict)
    registry.record(Subject("shared", "d", "t"), verdict)
"""


def test_concurrent_launches_lose_no_result(registry: SkipRegistry) -> None:
    command = [sys.executable, "-c", RECORD, str(registry.path)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    counts = {entry.subject.model_type: entry.critical_in_a_row for entry in registry.entries()}
    assert counts == {**{f"type {number}": 20 for number in range(4)}, "shared": 80}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Subject("neural_net", "sklearn:diabetes", None)),
        ({"data": "a.npz"}, Subject("neural_net", "{here}/a.npz", "y")),
        ({"data": "b/../a.csv", "target": "z"}, Subject("neural_net", "{here}/a.csv", "z")),
    ],
)
def test_a_subject_is_model_data_and_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: Subject
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Subject.of(LaunchSettings(**options))
    assert (found.model_type, found.target) == (expected.model_type, expected.target)
    assert found.data == expected.data.format(here=tmp_path)
