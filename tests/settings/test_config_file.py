"""The settings as TOML: what is printed reads back as the same settings, and cannot drift."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.config_file import explained, read_config, resolved
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.settings.options import option_of

FIELDS = dataclasses.fields(LaunchSettings)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-9, max_value=1e9)
value = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), finite, text)
asked = st.one_of(
    value,
    st.lists(value, min_size=1, max_size=4, unique=True),
    st.fixed_dictionaries(
        {"low": st.floats(1e-9, 1), "high": st.floats(1, 1e9)}, optional={"log": st.booleans()}
    ),
)
tables = st.dictionaries(
    st.sampled_from(tuple(MODEL_TYPES)), st.dictionaries(text, asked, max_size=4)
)


def _from_file(folder: Path, content: str) -> LaunchSettings:
    """As the command line would make them of nothing but this file."""
    path = folder / "c.toml"
    path.write_text(content)
    values = read_config(path)
    return LaunchSettings(**values | {"direction": tuple(values.get("direction", ()))})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "n_trials": st.integers(1, 2**40),
            "patience": st.integers(1, 2**40),
            "enqueue": st.lists(
                st.dictionaries(text, value, min_size=1, max_size=3), min_size=1, max_size=2
            ),
            "timeout": positive,
            "studies_dir": text,
            "overwrite": st.booleans(),
            "gpus": text,
            "seed": st.integers(0, 2**32 - 1),
            "sampler": st.sampled_from(("tpe", "gp")),
            "target": text,
            "data": text.filter(lambda name: not name.startswith("sklearn:")).map("d{}".format),
            "test_size": st.floats(0, 1, exclude_max=True),
            "normalize_features": st.booleans(),
            "spaces": tables,
            "health": st.just({"dead_units": [0.5, 0.75]}),
            "skip": st.fixed_dictionaries({"hours": st.floats(0, 1_000_000, exclude_min=True)}),
        },
    )
)
def test_what_is_printed_gives_the_same_settings(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any]
) -> None:
    settings = LaunchSettings(**{"data": "d.csv", "spaces": {}, **options})
    again = _from_file(tmp_path_factory.mktemp("config"), resolved(settings))
    assert dataclasses.replace(again, spaces=again.spaces or {}) == settings


def test_the_settings_of_an_objective_come_back(tmp_path: Path) -> None:
    settings = LaunchSettings(
        objective='my "folder"/é😀\x7f.py:f', direction=("minimize", "maximize"), trial_timeout=90
    )
    printed = resolved(settings)
    assert _from_file(tmp_path, printed) == settings
    assert "data" not in tomllib.loads(printed)  # a table's settings mean nothing here


def test_every_key_is_explained_with_its_default(tmp_path: Path) -> None:
    written = explained({})
    assert tomllib.loads(written) == {}
    keys_only = written.partition("# --- Tables")[0]
    for field in FIELDS:
        option = option_of(field)
        if not option.example:
            assert re.search(rf"^# {field.name} = ", written, flags=re.MULTILINE), field.name
        else:
            assert f"# {option.example.splitlines()[0]}\n" in written
        assert " ".join(option.help.split()) in " ".join(written.replace("\n# ", " ").split())
    # With the sign of a comment taken away, the defaults are the defaults.
    keys = "|".join(field.name for field in FIELDS if option_of(field).key is None)
    bare = re.sub(rf"^# (({keys}) = (?!\(not set\)))", r"\1", keys_only, flags=re.MULTILINE)
    assert len(tomllib.loads(bare)) > 15
    assert _from_file(tmp_path, bare) == LaunchSettings()


def test_the_examples_of_tables_are_valid_and_last(tmp_path: Path) -> None:
    written = explained({"n_trials": 3})
    head, _, tail = written.partition("# --- Tables")
    assert "n_trials = 3\n" in head and "# [" not in head
    examples = {field.name: option_of(field).example for field in FIELDS}
    assert set(_from_file(tmp_path, examples["spaces"]).spaces or {}) <= set(MODEL_TYPES)
    script = [examples[name] for name in ("space", "command", "value", "report")]
    read = _from_file(tmp_path, "\n".join(script))
    assert None not in (read.space, read.command, read.value, read.report)
    tables = [examples["spaces"], *script]
    assert all(f"# {line}" in tail for example in tables for line in example.splitlines())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n_trails = 5", "unknown key n_trails; did you mean 'n_trials'?"),
        ("zzz = 5", "unknown key zzz; known: n_trials"),
        ("[catbost]\ndepth = 3", "unknown key catbost; did you mean 'catboost'?"),
        ("spaces = 5", "unknown key spaces"),
        ("n_trials = ", "expected TOML"),
        ('n_trials = "many"', "--n-trials: expected a whole number, found 'many'"),
        ("n_trials = 2.5", "--n-trials: expected a whole number, found 2.5"),
        ("n-trials = true", "--n-trials: expected a whole number, found True"),
        ("test_size = 'x'", "--test-size: expected a number, found 'x'"),
        ("hosts = [['a']]", "--hosts: expected text, found [['a']]"),
        ("gpus = [true]", "--gpus: expected text, found [True]"),
        ("model_type = ['linear']", "--model-type: expected "),
        ("overwrite = 'yes'", "--overwrite: expected True or False, found 'yes'"),
        ("study_name = 5", "--study-name: expected text, found 5"),
        ("sampler = 'cmaes'", "gp, qmc, pkg.module:attr, path/file.py:attr, found 'cmaes'"),
        ("direction = ['up']", "--direction: expected minimize, maximize, found 'up'"),
        ("timeout = 'soon'", "--timeout: expected a duration such as 30s, 10m or 2h, found 'soon'"),
        ("catboost = 5", "[catboost]: expected a table of parameters, found 5"),
        (
            "[health]\ndead_unit = [0.1, 0.2]",
            "[health] unknown key dead_unit; did you mean 'dead_u",
        ),
        ("[skip]\nhours = 0", "[skip] hours: expected a positive number up to 1,000,000, found 0"),
        (
            "[skip]\nhours = 1e300",
            "[skip] hours: expected a positive number up to 1,000,000, found",
        ),
        ("[skip]\nhours = inf", "[skip] hours: expected a positive number"),
        (f"[health]\ndead_units = [0.1, 1{'0' * 400}]", "[health] expected dead_units = [warning"),
        ("[heatlh]\ndead_units = [1, 2]", "unknown key heatlh; did you mean 'health'?"),
        ("[catboost]\ndepth = {low = 3}", "[catboost] depth: expected a number for high"),
    ],
)
def test_a_bad_key_or_value_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _from_file(tmp_path, content)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_people_write_is_taken(tmp_path: Path) -> None:
    written = 'timeout = "2h"\ntrial-timeout = 90\nobjective = "a.py:f"\ndirection = "maximize"\n'
    expected = LaunchSettings(
        timeout=7200, trial_timeout=90, objective="a.py:f", direction=("maximize",)
    )
    assert _from_file(tmp_path, written) == expected
    assert _from_file(tmp_path, 'hosts = ["a:2", "b"]').hosts == "a:2,b"
    assert _from_file(tmp_path, "gpus = [0, 2]").gpus == "0,2"
    written = 'compare_models = true\nmodel_types = ["linear", "catboost"]'
    assert _from_file(tmp_path, written).model_types == "linear,catboost"


def test_a_file_is_utf8_with_or_without_a_mark_of_that(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + 'target = "größe"\n'.encode())
        assert read_config(path) == {"target": "größe"}
