"""A model type is what its entry says; nothing else knows one by its name."""

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import get_args

import pytest
from click.testing import CliRunner
from launcher.harness import ROOT

from journal_launcher.base.errors import UsageError
from journal_launcher.cli import commands
from journal_launcher.cli.program import run
from journal_launcher.settings.comparison import compared_types
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import (
    BASELINE,
    DEFAULT,
    MODEL_TYPES,
    Cure,
    check_installed,
)

PACKAGE = ROOT / "journal_launcher"
OF_A_TYPE = {PACKAGE / "settings/model_types.py", *PACKAGE.rglob("models/*.py")}


def _texts(source: str) -> Iterator[str]:
    """The string constants of a module that are not just said for readers."""
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and not isinstance(node, ast.Expr):
                yield str(child.value)


def test_no_other_file_knows_a_model_type_by_its_name() -> None:
    name = re.compile(rf"(?<!\w)({'|'.join(MODEL_TYPES)})(?!\w)")
    others = set(PACKAGE.rglob("*.py")) - OF_A_TYPE
    assert len(others) > 100
    for path in others:
        assert not [text for text in _texts(path.read_text()) if name.search(text)], path


def test_an_entry_says_only_what_there_is() -> None:
    options = {field.name for field in fields(LaunchSettings)}
    assert {BASELINE, DEFAULT} <= MODEL_TYPES.keys()
    for name, spec in MODEL_TYPES.items():
        assert options.issuperset(spec.flags) and spec.remedies.keys() <= set(get_args(Cure))
        assert bool(spec.gpu_check) == spec.uses_gpu, name
        for remedy in spec.remedies.values():
            assert remedy.flags.keys() <= set(spec.flags)


@pytest.fixture
def without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(MODEL_TYPES["catboost"], package="no_such_library", extra="catboost")
    monkeypatch.setitem(MODEL_TYPES, "catboost", missing)


@pytest.mark.usefixtures("without_its_library")
def test_a_type_that_is_not_installed_is_one_line_with_the_command_that_installs_it() -> None:
    with pytest.raises(UsageError) as caught:
        check_inputs(LaunchSettings(model_type="catboost"))
    assert str(caught.value) == (
        "catboost: its library no_such_library is not installed; type "
        "pip install 'journal-launcher[catboost]'"
    )
    assert caught.value.exit_code == 2
    check_inputs(LaunchSettings(model_type="linear"))


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_a_library_that_only_an_extra_installs_is_missed_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    assert run(["run", "--model-type", name]) == 2
    assert capsys.readouterr() == (
        "",
        f"error: {name}: its library {name} is not installed; type "
        f"pip install 'journal-launcher[{name}]'\n",
    )
    types = compared_types(LaunchSettings(compare_models=True))
    assert name not in types and "linear" in types


def test_an_extra_that_an_entry_names_is_one_of_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    every = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    for spec in MODEL_TYPES.values():
        library = spec.distribution or spec.package
        (asked,) = project["optional-dependencies"][spec.extra] if spec.extra else [None]
        assert (asked.partition(">")[0] == library) if asked else (library in every)


def test_a_library_of_every_install_is_named_as_pip_knows_it() -> None:
    assert MODEL_TYPES["linear"].requirement == "scikit-learn"
    assert MODEL_TYPES["neural_net"].requirement == "torch"


def test_looking_for_a_library_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in [spec.package for spec in MODEL_TYPES.values()]:
        monkeypatch.delitem(sys.modules, library, raising=False)
    for name in [name for name, spec in MODEL_TYPES.items() if spec.installed]:
        check_installed(name)
    run = commands.get_command(None, "run")  # type: ignore[arg-type]
    assert CliRunner().invoke(run, ["--help"]).exit_code == 0  # type: ignore[arg-type]
    assert not {spec.package for spec in MODEL_TYPES.values()} & sys.modules.keys()


def test_here_is_every_library_that_ci_has_to_have() -> None:
    if os.environ.get("CI") == "true":
        assert [name for name, spec in MODEL_TYPES.items() if not spec.installed] == []
