"""What a kind of job has is asked of the kind, never of its name."""

import ast

from launcher.harness import ROOT

from journal_launcher.base.job_kinds import COMMAND, OBJECTIVE, TABLE, JobKind, kind_of
from journal_launcher.settings.launch_settings import LaunchSettings

SPACE = {"x": {"low": 0, "high": 1}}


def test_settings_are_of_the_kind_that_they_ask_for() -> None:
    assert LaunchSettings().job_kind is TABLE
    assert LaunchSettings(objective="a.py:f").job_kind is OBJECTIVE
    assert LaunchSettings(command="python a.py {x}", space=SPACE).job_kind is COMMAND


def test_a_kind_is_known_by_the_name_that_journals_and_sidecars_have() -> None:
    for name, kind in {"table": TABLE, "objective": OBJECTIVE, "command": COMMAND}.items():
        assert kind_of({"kind": name}) is kind


def test_a_kind_of_a_later_version_has_nothing() -> None:
    for content in ({"kind": "video"}, {}, None):
        kind = kind_of(content)
        assert kind == JobKind(kind.name)


def test_no_file_compares_with_the_name_of_a_kind() -> None:
    names = {TABLE.name, OBJECTIVE.name, COMMAND.name}
    files = list((ROOT / "journal_launcher").rglob("*.py"))
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and "kind" in (said := ast.unparse(node)):
                assert not [name for name in names if f"'{name}'" in said], f"{path}: {said}"
