"""The command line in process: what reaches the launch, and what a mistake prints."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from journal_launcher import __version__
from journal_launcher.__main__ import main
from journal_launcher.base.settings import LaunchSettings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LaunchSettings]:
    """The settings of every launch that the command line asks for; none is started."""
    found: list[LaunchSettings] = []

    def run_launch(settings: LaunchSettings, emit: Any) -> SimpleNamespace:
        found.append(settings)
        return SimpleNamespace(exit_code=0, message=None)

    monkeypatch.setattr("journal_launcher.launcher.launch.run_launch", run_launch)
    monkeypatch.setattr("optuna.logging.set_verbosity", lambda level: None)
    return found


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


@pytest.mark.parametrize("arguments", [[], ["run"], ["--gpus", "auto"], ["run", "--gpus", "auto"]])
def test_no_arguments_or_options_first_mean_run(asked: list, arguments: list[str]) -> None:
    assert run(*arguments) == 0
    assert asked == [LaunchSettings()]


def test_every_kind_of_option(asked: list) -> None:
    arguments = "--trials 7 --timeout 10m --no-normalize-features --dropout 0.1 --seed 3"
    assert run(*arguments.split()) == 0
    assert asked == [
        LaunchSettings(n_trials=7, timeout=600, normalize_features=False, dropout=0.1, seed=3)
    ]
    assert run("--objective", "a.py:f", "--direction", "minimize", "--direction", "maximize") == 0
    assert asked[1].direction == ("minimize", "maximize")


def test_defaults_file_environment_flags_in_this_order(
    asked: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text('n_trials = 5\nsampler = "qmc"\nk-folds = 3\ntimeout = "2h"\nworkers = 4\n')
    monkeypatch.setenv("JOURNAL_LAUNCHER_SAMPLER", "gp")
    monkeypatch.setenv("JOURNAL_LAUNCHER_K_FOLDS", "4")
    assert run("--config", str(file), "--k-folds", "6") == 0
    expected = LaunchSettings(n_trials=5, sampler="gp", k_folds=6, timeout=7200, workers=4)
    assert asked == [expected]


MISTAKES = [
    (["--n-trails", "5"], "No such option '--n-trails'"),
    (["--n-trials", "many"], "'many' is not a valid int"),
    (["--timeout", "soon"], "expected a duration such as 30s, 10m or 2h"),
    (["--study-name", "../x"], "try --study-name x"),
    (["--gpus", "none", "--split", "group"], "--group-column"),
    (["--config", "nowhere.toml"], "--config nowhere.toml: No such file"),
    (["status", "--studies-dir", "nowhere"], "no study in"),
    (["status", "x", "--studies-dir", "nowhere"], "no study x in"),
    (["repair", "x", "--studies-dir", "nowhere"], "no journal"),
    (["health", "x", "--studies-dir", "nowhere"], "no study x in"),
    (["health", "../x"], "try"),
    (["predict", "x", "--data", "a", "--out", "b", "--studies-dir", "nowhere"], "no study x in"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: str(value)[:30])
def test_a_mistake_is_exit_2_and_says_what_was_expected(
    capsys: pytest.CaptureFixture[str], asked: list, arguments: list[str], message: str
) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.out == "" and asked == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n_trails = 5", "unknown key n_trails; did you mean n_trials?"),
        ("zzz = 5", "unknown key zzz; known: n_trials"),
        ("n_trials = ", "expected TOML"),
        ('n_trials = "many"', "not a valid int"),
        ("[health]\ndead_unit = [0.1, 0.2]", "[health] unknown key dead_unit; did you mean dead_"),
        ("[skip]\nhours = 0", "[skip] hours: expected a positive number, found 0"),
        ("[heatlh]\ndead_units = [0.1, 0.2]", "unknown key heatlh; did you mean health?"),
    ],
)
def test_a_bad_config_file_is_named(
    capsys: pytest.CaptureFixture[str], asked: list, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content)
    assert run("--config", str(file)) == 2
    assert message in capsys.readouterr().err and asked == []


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"journal-launcher, version {__version__}\n"
    assert run("--help") == 0
    assert "predict" in capsys.readouterr().out
    assert run("run", "--help") == 0
    text = capsys.readouterr().out
    assert "Devices:" in text and "--workers-per-gpu N" in text
