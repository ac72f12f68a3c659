"""The command line in process: what reaches the launch, and what a mistake prints."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from journal_launcher import __version__
from journal_launcher.__main__ import main
from journal_launcher.base.errors import StudyInUseError
from journal_launcher.cli import commands
from journal_launcher.settings.launch_settings import LaunchSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LaunchSettings]:
    """The settings of every launch that the command line asks for; none is started."""
    found: list[LaunchSettings] = []

    def run_launch(settings: LaunchSettings, emit: Any, **_: Any) -> SimpleNamespace:
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


def test_a_single_direction_in_a_file_is_a_word(asked: list, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('objective = "a.py:f"\ndirection = "maximize"\n')
    assert run("--config", str(file)) == 0
    file.write_text('objective = "a.py:f"\ndirection = ["maximize", "minimize"]\n')
    assert run("--config", str(file)) == 0
    assert [settings.direction for settings in asked] == [("maximize",), ("maximize", "minimize")]


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
    (["trials", "x", "--studies-dir", "nowhere"], "no study x in"),
    (["trials", "x", "--csv", "a", "--json"], "--csv and --json exclude each other"),
    (["trials", "x", "--sort", "colour"], "'number', 'value'"),
    (["best", "x", "--studies-dir", "nowhere"], "no study x in"),
    (["best", "x", "--toml", "--json"], "--json and --toml exclude each other"),
    (["health", "../x"], "try"),
    (["statsu"], "error: no command 'statsu'; did you mean 'status'?"),
    (["--model-type", "catbost"], "'linear'; did you mean 'catboost'?"),
    (["houses.csv"], "error: no command 'houses.csv'; known: run, watch, status"),
    (["run", "houses.csv"], "error: unexpected 'houses.csv': options begin with --"),
    (["watch", "t.py:fit"], "error: unexpected 't.py:fit': to tune with it type "),
    (["status", "--studys-dir", "x"], "For help type: journal-launcher status --help"),
    (["describe", f"{ROOT}/READM.md", "--target", "y"], "; did you mean 'README.md'?"),
    (["replay", "x", "0", "--studies-dir", "nowhere"], "no study x in"),
    (["--config", f"{ROOT}/pyprojet.toml"], "No such file or directory; did you mean 'pyproject"),
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
    ("name", "content", "line"),
    [
        ("t.py", "import optuna\ndef fit(trial):\n  pass\n", "run --objective t.py:fit"),
        ("t 1.py", "print(1)", "run --objective 't 1.py:FUNCTION'"),
        ("t.py", "print(1)", "run --command 'python t.py --lr {lr}' --config FILE.toml"),
        ("a b.csv.gz", "", "run --data 'a b.csv.gz' --target COLUMN; journal-launcher describe"),
        ("t.parquet", "", "run --data t.parquet --target COLUMN"),
        ("s.toml", "", "run --config s.toml"),
        ("old.db", "", "import sqlite:///old.db"),
        ("old.log", "", "import old.log"),
        ("notes.md", "", "; known: run"),
    ],
)
def test_a_file_in_place_of_a_command_says_what_to_type(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOURNAL_LAUNCHER_TYPED", raising=False)
    (tmp_path / name).write_text(content)
    assert run(name) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: no command {name!r}") and line in said
    assert run("run", "--gpus", "none", name) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: unexpected {name!r}")
    assert line in said or line.startswith("; known")


def test_a_name_with_spaces_can_be_pasted_from_the_words_about_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_LAUNCHER_TYPED", "/my own/launch.sh")
    assert run("status", "--studys-dir", "x") == 2
    said = capsys.readouterr().err
    assert "\nFor help type: '/my own/launch.sh' status --help\n" in said and "''" not in said


LOOKING = [
    ["status"],
    ["status", "x"],
    ["trials", "x"],
    ["best", "x"],
    ["report", "x"],
    ["enqueue", "x", "lr=0.1"],
    ["health", "x"],
    ["skip", "list"],
    ["skip", "clear"],
    ["predict", "x", "--data", "a", "--out", "b"],
    ["replay", "x", "0"],
    ["import", "sqlite:///old.db", "--study-name", "x"],
    ["repair", "x"],
]


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_every_command_looks_into_the_folder_that_the_environment_names(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOURNAL_LAUNCHER_STUDIES_DIR", str(tmp_path / "there"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "skip_registry.json").write_text("damaged")
    if arguments[0] == "import":
        optuna.create_study(storage="sqlite:///old.db", study_name="x")
        (tmp_path / "there" / "x.log").write_text("")
    assert run(*arguments) == 2
    assert str(tmp_path / "there") in capsys.readouterr().err


def test_the_studies_folder_is_one_option_everywhere() -> None:
    context = click.Context(commands)
    found = {name: commands.get_command(context, name) for name in commands.list_commands(context)}
    skip = found.pop("skip")
    assert isinstance(skip, click.Group)
    found |= {f"skip {name}": command for name, command in skip.commands.items()}
    of = {
        name: [param.to_info_dict() for param in command.params if param.name == "studies_dir"]
        for name, command in found.items()
        if command is not None
    }
    assert of.pop("init") == of.pop("describe") == []
    assert set(of) == {
        "run",
        "dashboard",
        "doctor",
        "watch",
        *(" ".join(words[: 1 + (words[0] == "skip")]) for words in LOOKING),
    }
    assert all(option == of["run"] and len(option) == 1 for option in of.values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--n-trails", "5"], 2, "No such option '--n-trails'"),
        (["--config", "nowhere.toml"], 2, "--config nowhere.toml: No such file"),
        (["--split", "group"], 2, "--split group and --group-column"),
        (["--study-name", "used"], 4, "in use by"),
        (["--study-name", "interrupted"], 130, "stopped by Ctrl-C"),
    ],
)
def test_json_is_one_object_on_stdout_whatever_happens(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    def run_launch(settings: LaunchSettings, emit: Any, **_: Any) -> None:
        raise StudyInUseError("in use by") if settings.name == "used" else KeyboardInterrupt

    monkeypatch.setattr("journal_launcher.launcher.launch.run_launch", run_launch)
    assert run("run", *arguments, "--json") == code
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code and message in found["message"]
    assert found["exit_reason"] == ("signal" if code == 130 else "failed")


def test_trials_go_into_the_file_that_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    Path("studies").mkdir()
    storage = JournalStorage(JournalFileBackend("studies/s.log"))
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    folder = ("--studies-dir", "studies")
    Path("link.csv").symlink_to("target.csv")
    assert run("trials", "s", *folder, "--csv", "link.csv") == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines()[-1]) == ("", "wrote link.csv")
    written = Path("target.csv").read_text()
    assert Path("link.csv").is_symlink() and written.startswith("number,state,value,params_x,")
    assert run("trials", "s", *folder, "--csv", "-") == 0
    assert capsys.readouterr().out == written and not Path("-").exists()
    for file, message in (("studies", "expected a file to write"), ("no/x.csv", "cannot be")):
        assert run("trials", "s", *folder, "--csv", file) == 2
        assert f"error: --csv {tmp_path / file}: {message}" in capsys.readouterr().err
    assert run("trials", "s", *folder, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 2
    assert run("trials", "s", *folder) == 0 == run("best", "s", *folder)
    assert run("best", "s", *folder, "--toml") == 2
    assert "does not say how its trials ran" in capsys.readouterr().err


def test_a_misspelt_variable_is_named_once(
    capsys: pytest.CaptureFixture[str], asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JOURNAL_LAUNCHER_N_TRAILS", "JOURNAL_LAUNCHER_TYPED", "JOURNAL_LAUNCHER_SEED"):
        monkeypatch.setenv(name, "7")
    assert run("--gpus", "none") == 0
    assert asked == [LaunchSettings(gpus="none", seed=7)]
    assert capsys.readouterr().err == (
        "warning: JOURNAL_LAUNCHER_N_TRAILS is ignored: no such option; did you mean "
        "'JOURNAL_LAUNCHER_N_TRIALS'?\n"
    )
    monkeypatch.delenv("JOURNAL_LAUNCHER_N_TRAILS")
    monkeypatch.setenv("JOURNAL_LAUNCHER_ZZZ", "7")
    assert run("--gpus", "none") == 0
    expected = "warning: JOURNAL_LAUNCHER_ZZZ is ignored: no such option\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("content", ["n_trails = 5", "n_trials = ", 'n_trials = "many"'])
def test_a_bad_config_file_is_named(
    capsys: pytest.CaptureFixture[str], asked: list, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content)
    assert run("--config", str(file)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: --config {file}: ") and printed.count("\n") == 1
    assert asked == []


def test_the_tables_and_the_output_of_a_config_file(
    capsys: pytest.CaptureFixture[str], asked: list, tmp_path: Path
) -> None:
    file = tmp_path / "c.toml"
    file.write_text("quiet = true\nverbose = 2\n[skip]\nhours = 2\n")
    with file.open("a") as added:
        added.write("[catboost]\ndepth = {low = 4, high = 8}\n")
    assert run("--config", str(file), "--model-type", "catboost", "--print-config") == 0
    printed = capsys.readouterr().out
    assert "[catboost]\ndepth = {low = 4, high = 8}\n" in printed and asked == []
    assert "[skip]\nhours = 2\n" in printed
    file.write_text(printed)
    assert run("--config", str(file), "--print-config") == 0
    assert capsys.readouterr().out == printed


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"journal-launcher, version {__version__}\n"
    assert run("--help") == 0
    assert "predict" in capsys.readouterr().out
    assert run("run", "--help") == 0
    text = capsys.readouterr().out
    assert "Devices:" in text and "--workers-per-gpu N|auto" in text


def test_a_number_of_workers_may_be_the_word_auto(
    asked: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    for given, line in (("auto", '"auto"'), (3, "3")):
        assert run("--workers-per-gpu", str(given)) == 0
        file.write_text(f"workers_per_gpu = {line}\n")
        assert run("--config", str(file)) == 0
        assert [asked.pop().workers_per_gpu for _ in range(2)] == [given, given]
    assert run("--workers-per-gpu", "all") == 2
    assert "expected a whole number, or auto, found 'all'" in capsys.readouterr().err
    file.write_text("workers_per_gpu = 'all'\n")
    assert run("--config", str(file)) == 2
    assert "expected a whole number, or auto, found 'all'" in capsys.readouterr().err


def test_what_follows_the_dashes_is_passed_on_as_it_is(asked: list, tmp_path: Path) -> None:
    assert run("--objective", "a.py:f", "--", "--n-trials", "3", "--", "x") == 0
    assert asked[0] == LaunchSettings(objective="a.py:f", arguments=("--n-trials", "3", "--", "x"))
    file = tmp_path / "c.toml"
    file.write_text('objective = "a.py:f"\narguments = ["--epochs", "3"]\n')
    assert run("--config", str(file)) == 0
    assert run("--config", str(file), "--", "-v") == 0
    assert [settings.arguments for settings in asked[1:]] == [("--epochs", "3"), ("-v",)]


def test_a_command_with_its_space_from_a_file(asked: list, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[command]\nrun = "a {x}"\nvalue = "last-line"\n[space]\nx = [1, 2]\n')
    expected = {"space": {"x": [1, 2]}, "value": "last-line"}
    assert run("--config", str(file)) == 0
    assert run("--config", str(file), "--command", "b") == 0
    assert asked == [LaunchSettings(command=name, **expected) for name in ("a {x}", "b")]
    file.write_text('command = "c {x}"\nspace = {x = [1, 2]}\n')
    assert run("--config", str(file)) == 0
    assert asked[2] == LaunchSettings(command="c {x}", space={"x": [1, 2]})


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_service_may_start_it_with_closed_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "a.py").write_text("def f(trial):\n    return 1.0\n")
    command = f'exec "$@" run --objective a.py:f --gpus none --n-trials 1 {closed}'
    assert in_shell(command, tmp_path).returncode == 0
    assert (tmp_path / "optuna_studies" / "a_f" / "best_model.meta.json").exists()


@pytest.mark.parametrize("arguments", ["--version", "init --help", "run --print-config"])
def test_an_output_that_is_full_is_one_line(tmp_path: Path, arguments: str) -> None:
    ended = in_shell(f'exec "$@" {arguments} > /dev/full', tmp_path)
    assert ended.returncode == 75
    assert ended.stderr.startswith("error: cannot write") and ended.stderr.count("\n") == 1


def in_shell(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line in which "$@" is this program."""
    program = [sys.executable, "-P", "-m", "journal_launcher"]
    return subprocess.run(
        ["bash", "-c", line, "bash", *program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
