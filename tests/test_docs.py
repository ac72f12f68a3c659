"""The documents say what the program does: every option, command and model type appears in them."""

import dataclasses
import re
from pathlib import Path

import pytest
from tabular.tasks import EACH_MODEL_TYPE

from journal_launcher.base.errors import ExitCode
from journal_launcher.cli import commands
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES, SIMPLEST_FIRST
from journal_launcher.settings.options import option_of
from journal_launcher.tabular.data.dataset import Schema
from journal_launcher.tabular.models import ModelSettings, model_type

ROOT = Path(__file__).parents[1]
CLI = (ROOT / "docs/cli.md").read_text()
README = (ROOT / "README.md").read_text()
FIELDS = dataclasses.fields(LaunchSettings)


def _row(flag: str) -> str:
    rows = [line for line in CLI.splitlines() if line.startswith(f"| `{flag}`")]
    assert len(rows) == 1, f"{flag}: expected one row in docs/cli.md, found {len(rows)}"
    return rows[0].replace("\\|", "|")


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_option_is_documented_with_its_help_choices_and_default(
    field: dataclasses.Field[object],
) -> None:
    option = option_of(field)
    row = _row(option.key or "--" + field.name.replace("_", "-"))
    assert option.help in row
    assert "|".join(option.choices) in row
    if isinstance(field.default, str | int | float) and not isinstance(field.default, bool):
        assert f"| `{field.default}` |" in row


def test_no_option_is_documented_that_does_not_exist() -> None:
    names = {option_of(field).key or "--" + field.name.replace("_", "-") for field in FIELDS}
    names |= {"--config", "--print-config", "--json", "-v", "-q"}
    documented = set(re.findall(r"^\| `(--?[a-z-]*|\[[^`]+)`", CLI, flags=re.MULTILINE))
    assert documented == names


def test_the_options_that_watch_adds_are_documented() -> None:
    section = CLI.partition("\n## watch\n")[2].partition("\n## ")[0]
    watch = commands.get_command(None, "watch")  # type: ignore[arg-type]
    run = commands.get_command(None, "run")  # type: ignore[arg-type]
    known = {parameter.name for parameter in run.params}
    added = [parameter for parameter in watch.params if parameter.name not in known]
    assert [parameter.opts for parameter in added] == [["--max-watch-retries"], ["--step-timeout"]]
    for parameter in added:
        assert f"`{parameter.opts[0]} {parameter.metavar}`" in section


def test_every_table_of_the_config_file_is_documented() -> None:
    section = CLI.partition("### The config file")[2].partition("\n## ")[0]
    scripts = CLI.partition("#### A script")[2].partition("\n### ")[0]
    for field in FIELDS:
        of_a_script = field.name in ("command", "space", "value", "report")
        for line in option_of(field).example.splitlines():
            assert line in (scripts if of_a_script else section)


def _shown(default: float | str) -> str:
    return default if isinstance(default, str) else f"{default:g}"


ROWS = re.findall(r"^\| `\w+` \| `\w+` \| .*$", CLI, flags=re.MULTILINE)


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_every_parameter_of_the_model_types_is_documented_with_its_range(name: str) -> None:
    settings = ModelSettings(Schema((), "y", "regression"), 0, "r2")
    expected = {
        f"| `{name}` | `{key}` | {parameter} | {_shown(parameter.default)} |"
        for key, parameter in model_type(name)(settings).space().items()
    }
    assert {row for row in ROWS if row.startswith(f"| `{name}` ")} == expected


def test_no_parameter_of_another_model_type_is_documented() -> None:
    assert {row.split("`")[1] for row in ROWS} == set(MODEL_TYPES)


def test_every_command_is_documented() -> None:
    for name in commands.list_commands(None):  # type: ignore[arg-type]
        assert re.search(rf"^## {name}$", CLI, flags=re.MULTILINE), name


def test_every_exit_code_is_documented() -> None:
    for code in ExitCode:
        assert f"\n| {code.value} | " in CLI
        assert re.search(rf"(^|· ){code.value} [a-z]", README, flags=re.MULTILINE), code


def test_every_model_type_is_in_the_readme_and_the_registry_is_the_option() -> None:
    field = next(field for field in FIELDS if field.name == "model_type")
    assert option_of(field).choices == tuple(MODEL_TYPES)
    for name in MODEL_TYPES:
        assert f"`{name}`" in README


def test_the_order_of_simplicity_and_what_uses_no_gpu_are_documented() -> None:
    text = " ".join((ROOT / "docs" / "cli.md").read_text().split())
    first, *others = (f"`{name}`" for name in SIMPLEST_FIRST)
    assert f"{first}, then {', '.join(others)}." in text
    (without,) = re.findall(r"so do (.*?) under `auto`", text)
    named = set(re.findall(r"`(\w+)`", without))
    assert named == {name for name, spec in MODEL_TYPES.items() if not spec.uses_gpu}


def test_remedies_are_documented_with_their_ranges() -> None:
    lines = (ROOT / "docs" / "watch.md").read_text().splitlines()
    for name, spec in MODEL_TYPES.items():
        (row,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        for remedy in spec.remedies.values():
            for parameter, found in remedy.ranges.items():
                assert f"`{parameter}` {found['low']:g} to {found['high']:g}" in row


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not link.startswith("https://"):
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_architecture_says_where_to_change_what_and_is_short() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rows = text.split("## Where do I change …")[1].split("\n## ")[0].splitlines()[4:]
    rows = [row for row in rows if row.startswith("|")]
    named = [path for row in rows for path in re.findall(r"`([a-z_/]+(?:/|\.py))`", row)]
    assert len(rows) == 20 and len(named) > 30
    missing = [path for path in named if not (ROOT / "journal_launcher" / path).exists()]
    assert missing == []
    assert len(text.splitlines()) < 200


def test_the_files_of_the_mutations_exist() -> None:
    text = (ROOT / "docs/reliability.md").read_text()
    rows = [row for row in text.split("What the tests notice")[1].splitlines() if "| `" in row]
    named = {name for row in rows for name in re.findall(r"`([a-z_/]+\.py)`", row)}
    assert len(named) > 30
    places = [ROOT / "journal_launcher", ROOT / "tests"]
    assert [n for n in sorted(named) if not any((at / n).exists() for at in places)] == []


def test_the_files_of_the_architecture_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    block = text.split("```")[1]
    package = ROOT / "journal_launcher"
    names = set(re.findall(r"\b([a-z_]+\.py)\b", block))
    there = {path.name for path in package.rglob("*.py")}
    assert names <= there, names - there
