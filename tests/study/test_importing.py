"""An old study from a database: complete, unchanged at its source, all at once or not at all."""

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from launcher.harness import ROOT, Workshop
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from journal_launcher.__main__ import main
from journal_launcher.base.errors import UsageError
from journal_launcher.study.importing import import_study
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle


def make(folder: Path, name: str = "study", directions: tuple[str, ...] = ("maximize",)) -> str:
    """A database with a study that has trials in every state; its URL."""
    url = f"sqlite:///{folder / 'old #1 100%.db'}"
    study = optuna.create_study(storage=url, study_name=name, directions=directions)
    study.set_user_attr("note", {"a": [1, None]})

    def objective(trial: optuna.Trial) -> object:
        x = trial.suggest_float("x", 0, 1, log=False)
        trial.suggest_categorical("k", ["a", None, 3])
        trial.suggest_int("n", 1, 64, log=True)
        trial.set_user_attr("who", "é")
        if len(directions) == 1:
            trial.report(x, 0)
            trial.report(float("nan"), 7)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ArithmeticError
        return x if len(directions) == 1 else (x, -x)

    study.optimize(objective, n_trials=2, catch=ArithmeticError)
    study.ask()  # RUNNING for ever
    study.optimize(objective, n_trials=3, catch=ArithmeticError)
    study.enqueue_trial({"x": 0.125, "k": None, "n": 3})
    return url


def stock(journal: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name=journal.stem, storage=storage)


@pytest.mark.parametrize("directions", [("maximize",), ("minimize", "maximize")])
def test_everything_comes_along_but_running_trials(
    tmp_path: Path, directions: tuple[str, ...]
) -> None:
    url = make(tmp_path, directions=directions)
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    found = import_study(url, "study", str(tmp_path / "new" / "studies"))
    assert file.read_bytes() == before
    assert found.left_out == 1 and found.directions == directions
    assert sum(found.counts.values()) == 6 and found.counts["WAITING"] == 1
    assert [path.name for path in found.journal.parent.iterdir()] == ["study.log"]
    old = optuna.load_study(study_name="study", storage=url)
    new = stock(found.journal)
    assert new.directions == old.directions
    assert new.user_attrs == {**old.user_attrs, "journal_launcher_imported": 6}
    kept = [trial for trial in old.trials if trial.state != TrialState.RUNNING]
    for number, (mine, theirs) in enumerate(zip(new.trials, kept, strict=True)):
        assert mine.number == number
        for what in ("state", "values", "params", "distributions", "user_attrs", "system_attrs"):
            assert getattr(mine, what) == getattr(theirs, what)
        assert str(mine.intermediate_values) == str(theirs.intermediate_values)  # NaN == NaN
        assert mine.datetime_complete == theirs.datetime_complete


def test_a_launch_goes_on_with_it(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    trial.suggest_categorical("k", ["a", None, 3])
    trial.suggest_int("n", 1, 64, log=True)
    return trial.suggest_float("x", 0, 1)
"""
    )
    url = make(workshop.folder)
    finished = import_study(url, None, str(workshop.paths.folder)).counts
    done = finished["COMPLETE"] + finished["PRUNED"]
    with pytest.raises(UsageError, match=r"directions: the study has .'maximize'"):
        workshop.launch(n_trials=done + 2)
    assert workshop.launch(n_trials=done + 2, direction="maximize").exit_code == 0
    assert workshop.states().count("WAITING") == 0
    queued = next(trial for trial in workshop.trials() if "fixed_params" in trial.system_attrs)
    assert queued.params == {"x": 0.125, "k": None, "n": 3} and queued.state.name == "COMPLETE"
    assert workshop.study().user_attrs["note"] == {"a": [1, None]}


def refused(url: str, name: str | None, folder: Path) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError) as caught:
        import_study(url, name, str(folder / "studies"))
    assert sorted(folder.rglob("*")) == before  # above all no new, empty database
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_no_optuna_database_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(f"sqlite:///{tmp_path}/none.db", "x", tmp_path)
    assert "no such file" in refused("sqlite://", "x", tmp_path)
    said = refused("old.db", "x", tmp_path)
    assert "old.db: no such file" in said and "such as sqlite:///old.db" in said
    assert "hunter2" not in refused("postgresql://me:hunter2@localhost:1/db", "x", tmp_path)
    text = tmp_path / "text.db"
    text.write_text("not a database, " * 100)
    assert "file is not a database" in refused(f"sqlite:///{text}", "x", tmp_path)
    empty = tmp_path / "empty.db"
    empty.touch()
    assert "made by Optuna, found other tables" in refused(f"sqlite:///{empty}", "x", tmp_path)
    assert empty.stat().st_size == 0


def test_a_wrong_name_lists_the_studies(tmp_path: Path) -> None:
    url = make(tmp_path)
    said = (
        "no study other in the database; studies there: study; for a name of its own here: "
        "--from-study NAME --study-name other"
    )
    assert refused(url, "other", tmp_path) == said
    optuna.create_study(storage=url, study_name="second")
    assert "which study? give --study-name; studies there: study, second" in refused(
        url, None, tmp_path
    )


def test_an_older_schema_says_how_to_upgrade(tmp_path: Path) -> None:
    url = make(tmp_path)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    database.close()
    said = refused(url, "study", tmp_path)
    assert "made by an older Optuna" in said and "optuna storage upgrade --storage sqlite" in said
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("DROP TABLE alembic_version")
    database.close()
    before = Path(url.removeprefix("sqlite:///")).read_bytes()
    assert "made by an older Optuna" in refused(url, "study", tmp_path)
    assert Path(url.removeprefix("sqlite:///")).read_bytes() == before


def test_parameters_that_changed_their_kind_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    study = optuna.create_study(storage=url, study_name="study")
    for _ in range(2):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        study.tell(trial, 1.0)
    changed = '{"name": "IntDistribution", "attributes": {"low": 0, "high": 1}}'
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.execute(
            "UPDATE trial_params SET distribution_json = ? WHERE trial_id = 2", [changed]
        )
    database.close()
    said = refused(url, "study", tmp_path)
    assert said.startswith("study study: trial 1 has another kind of x than trials before it")


@pytest.mark.parametrize("there", ["study.log", "study"])
def test_an_existing_target_is_refused(tmp_path: Path, there: str) -> None:
    url = make(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / there).mkdir()
    assert f"{tmp_path / 'studies' / there} exists" in refused(url, "study", tmp_path)


def test_a_name_that_is_no_file_name_becomes_one(tmp_path: Path) -> None:
    url = make(tmp_path, name="my study/1")
    found = import_study(url, "my study/1", str(tmp_path / "studies"))
    assert found.name == "my_study_1" and len(stock(found.journal).trials) == 6


@pytest.mark.parametrize(
    ("name", "there"), [("", None), ("", "study"), ("../x", "study"), ("a b", "study")]
)
def test_a_name_for_here_alone_has_to_be_one(tmp_path: Path, name: str, there: str | None) -> None:
    url = make(tmp_path)
    with pytest.raises(UsageError, match=f"^study name '{re.escape(name)}' is not valid"):
        import_study(url, name, str(tmp_path / "studies"), there)
    assert not (tmp_path / "studies").exists()


def test_a_torn_last_line_is_said_to_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "old.log"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(storage=storage, study_name="study").ask()
    for name in ("whole", "torn"):
        options = ["--studies-dir", str(tmp_path / name), "--study-name", "study"]
        with pytest.raises(SystemExit) as ended:
            main(["import", str(journal), *options])
        assert ended.value.code == 0
        said = f"left out the last line of {journal}, 7 bytes that no writer finished\n"
        assert (said in capsys.readouterr().err) == (name == "torn")
        journal.write_bytes(journal.read_bytes() + b'{"op_co')


@pytest.mark.parametrize("step", ["fsync", "link", "unlink"])
def test_a_kill_leaves_the_whole_journal_or_none(tmp_path: Path, step: str) -> None:
    url = make(tmp_path)
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "kill = lambda *given, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"setattr(Path if {step!r} == 'unlink' else os, {step!r}, kill)\n"
        "from journal_launcher.__main__ import main; main(['import', *sys.argv[1:]])"
    )
    arguments = [url, "--study-name", "study", "--studies-dir", str(tmp_path / "studies")]
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    journal = tmp_path / "studies" / "study.log"
    if step == "unlink":
        assert len(stock(journal).trials) == 6
    else:
        assert not journal.exists()
        assert import_study(url, "study", str(tmp_path / "studies")).journal == journal


def test_the_command_says_what_came_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = make(tmp_path, name="my study")
    command = [sys.executable, "-P", "-m", "journal_launcher", "import", url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(
        r"imported .*\d COMPLETE.* into .*/optuna_studies/my_study.log\n", ended.stdout
    )
    assert ended.stderr.startswith("left out 1 RUNNING\n")
    assert "--study-name my_study --direction maximize --n-trials 2" in ended.stderr


@pytest.mark.parametrize(
    "change",
    [
        "update study_user_attributes set value_json = '{'",
        "update trial_params set distribution_json = '[]'",
        "update trial_params set param_value = 99",
        "update trials set state = 'NOPE'",
        "update trials set datetime_start = 'nope'",
        "update trial_values set value = null, value_type = 'FINITE'",
        "drop table trial_params",
    ],
)
def test_a_damaged_database_is_one_line(tmp_path: Path, change: str) -> None:
    url = make(tmp_path)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute(change)
    assert "expected a database made by Optuna, found: " in refused(url, None, tmp_path)


def test_an_address_that_is_none_is_one_line(tmp_path: Path) -> None:
    assert "expected a database such as" in refused("postgresql://host:abc/db", None, tmp_path)
    assert "no such file" in refused(f"sqlite:///{'x' * 300}.db", None, tmp_path)


# --- from a journal


def stock_journal(folder: Path, *names: str) -> Path:
    """What Optuna itself wrote: studies of two finished trials, and one that runs for ever."""
    journal = folder / "foreign.log"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    for name in names:
        study = optuna.create_study(storage=storage, study_name=name)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        study.ask()
    return journal


def test_a_stock_journal_comes_under_its_name_or_another(tmp_path: Path) -> None:
    journal = stock_journal(tmp_path, "one")
    before = journal.read_bytes()
    studies = str(tmp_path / "studies")
    found = import_study(str(journal), None, studies)
    assert found.name == "one" and found.counts == {"COMPLETE": 2} and found.left_out == 1
    other = import_study(str(journal), "mine", studies, "one")
    assert other.name == "mine"
    old = optuna.load_study(
        study_name="one", storage=JournalStorage(JournalFileBackend(str(journal)))
    )
    for new in (stock(found.journal), stock(other.journal)):
        assert [t.params for t in new.trials] == [t.params for t in old.trials[:2]]
    assert journal.read_bytes() == before


def test_a_repeat_names_the_trial_by_the_number_that_it_has_now(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "old.log")))
    study = optuna.create_study(study_name="old", storage=storage)
    study.set_user_attr("journal_launcher_best_trial", 3)  # what is saved there
    for number in range(4):
        repeats = number - 2
        attributes = {} if repeats < 0 else {"jl_repeats": repeats}
        system = {} if repeats < 0 else {"failed_trial": repeats, "retry_history": [0, repeats]}
        state = TrialState.RUNNING if number == 0 else TrialState.FAIL
        study.add_trial(
            optuna.trial.create_trial(state=state, user_attrs=attributes, system_attrs=system)
        )
    found = import_study(str(tmp_path / "old.log"), None, str(tmp_path / "studies"))
    assert "journal_launcher_best_trial" not in stock(found.journal).user_attrs
    first, orphan, repeat = stock(found.journal).trials
    assert first.user_attrs == {} and "jl_repeats" not in orphan.user_attrs
    assert repeat.user_attrs["jl_repeats"] == 0 == repeat.system_attrs["failed_trial"]
    assert repeat.system_attrs["retry_history"] == [0]


def test_another_kind_of_file_is_no_damaged_journal(tmp_path: Path) -> None:
    table = tmp_path / "houses.csv"
    table.write_text("rooms,price\n3,10\n")
    with pytest.raises(UsageError, match=r"houses\.csv: expected an Optuna journal, found "):
        import_study(str(table), None, str(tmp_path / "studies"))
    base = tmp_path / "old.db"
    base.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(UsageError, match=r"a database of SQLite: type sqlite:///.*/old\.db"):
        import_study(str(base), None, str(tmp_path / "studies"))
    with pytest.raises(UsageError, match=r"house\.csv: no such file, .*did you mean .*houses\.csv"):
        import_study(str(tmp_path / "house.csv"), None, str(tmp_path / "studies"))
    assert not (tmp_path / "studies").exists()


def test_of_several_studies_one_is_chosen(tmp_path: Path) -> None:
    journal = str(stock_journal(tmp_path, "one", "two"))
    assert refused(journal, None, tmp_path) == (
        "which study? give --study-name; studies there: one, two"
    )
    assert "no study three in the database; studies there: one, two; for a name of its own" in (
        refused(journal, "three", tmp_path)
    )
    studies = str(tmp_path / "studies")
    assert import_study(journal, "two", studies).name == "two"
    assert import_study(journal, "three", studies, "one").name == "three"
    assert "expected a database such as" in refused("nowhere", None, tmp_path)


OBJECTIVE = """
def objective(trial):
    opt = trial.suggest_categorical("opt", {choices})
    n = trial.suggest_int("n", 1, 4)
    return trial.suggest_float("lr", 0.001, 1.0, log=True) + (opt == "a") + n
"""


def test_an_objective_with_another_choice_keeps_its_trials(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE.format(choices=["a", "b"]))
    workshop.launch(n_trials=6)
    workshop.write(OBJECTIVE.format(choices=["b", "a", "c"]))
    said = str(workshop.launch(n_trials=8).message)
    command = "journal-launcher import study --study-name NEW --config FILE.toml"
    assert "carry over the trials that fit" in said and said.endswith(command)
    config = workshop.folder / "space.toml"
    config.write_text('[space]\nopt = ["b", "a", "c"]\nlr = {low = 0.001, high = 2, log = true}\n')
    ended = workshop_import(workshop, "study", "--study-name", "new", "--config", "space.toml")
    assert ended.returncode == 0 and "6 COMPLETE" in ended.stdout, ended.stderr
    assert "go on: the study's command with --study-name new" in ended.stderr
    result = workshop.launch(n_trials=8, study_name="new")
    assert result.exit_code == 0
    new = stock(workshop.paths.folder / "new.log")
    kept = [trial for trial in workshop.trials() if trial.state == TrialState.COMPLETE]
    done = [trial.params for trial in new.trials if trial.state == TrialState.COMPLETE]
    assert len(done) == 8 and done[:6] == [trial.params for trial in kept]
    assert new.trials[0].distributions["lr"] == FloatDistribution(0.001, 2.0, log=True)


def workshop_import(workshop: Workshop, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "journal_launcher", "import", *words]
    command += ["--studies-dir", str(workshop.paths.folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=workshop.folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_scripts_grown_space(workshop: Workshop) -> None:
    def given(**space: object) -> dict[str, object]:
        return {"objective": None, "command": "echo {lr} {opt}", "space": space}

    value = {"value": {"pattern": r"^(?P<value>\S+)"}}
    few = {"lr": {"low": 0.1, "high": 1.0}, "opt": ["a", "b", "c"]}
    many = {"lr": {"low": 0.1, "high": 5.0}, "opt": ["a", "b", "d"]}
    queued = [{"lr": 0.5, "opt": name} for name in ("a", "b", "c")]
    workshop.launch(n_trials=3, enqueue=queued, **given(**few), **value)
    with pytest.raises(
        UsageError, match=r"carry over .* new \[space\]: journal-launcher import st"
    ):
        workshop.launch(n_trials=5, **given(**many), **value)
    config = workshop.folder / "tune.toml"
    config.write_text('[space]\nlr = {low = 0.1, high = 5.0}\nopt = ["a", "b", "d"]\n')
    ended = workshop_import(workshop, "study", "--study-name", "new", "--config", "tune.toml")
    assert "imported 2 COMPLETE" in ended.stdout, ended.stderr
    assert "left out 1 that do not fit the new space: 1 x opt is c\n" in ended.stderr
    result = workshop.launch(n_trials=4, study_name="new", **given(**many), **value)
    assert result.exit_code == 0, result.message
    assert len(stock(workshop.paths.folder / "new.log").trials) == 4


def test_a_model_types_grown_choices(tmp_path: Path) -> None:
    """Parameters that the file does not name stay, and numbers stay of their kind."""
    identity = {"kind": "table", "model_type": "catboost", "directions": ["minimize"], "seed": 0}
    storage = open_storage(tmp_path / "old.log", create=True)
    StudyHandle.create(storage, "old", identity)
    study = optuna.load_study(study_name="old", storage=storage)
    for depth in (4, 6, 8):
        study.enqueue_trial({"depth": depth})
        trial = study.ask()
        trial.suggest_categorical("depth", [4, 6, 8])
        trial.suggest_float("rate", 0.1, 0.9, log=True)
        trial.suggest_int("leaf", 1, 5)
        study.tell(trial, 1.0)
    tables = {"spaces": {"catboost": {"depth": [4, 6, 10], "rate": {"low": 0.1, "high": 1}}}}
    with pytest.raises(UsageError, match=r"expected a table \[catboost\] with the parameters"):
        import_study("old", "new", str(tmp_path), tables={"space": {"depth": [4]}})
    found = import_study("old", "new", str(tmp_path), tables=tables)
    assert found.counts == {"COMPLETE": 2} and found.misfits == {"depth is 8": 1}
    new = stock(found.journal)
    assert [trial.params["depth"] for trial in new.trials] == [4, 6]
    assert new.trials[0].distributions == {
        "depth": CategoricalDistribution([4, 6, 10]),
        "rate": FloatDistribution(0.1, 1.0, log=True),
        "leaf": IntDistribution(1, 5),
    }
    assert new.user_attrs["journal_launcher"] == identity


def test_what_the_file_must_say(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE.format(choices=["a", "b"]))
    workshop.launch(n_trials=1)
    config = workshop.folder / "c.toml"
    config.write_text("n_trials = 3\n")
    ended = workshop_import(workshop, "study", "--study-name", "new", "--config", "c.toml")
    assert ended.returncode == 2
    assert "--config: expected a table [space] with the parameters that changed" in ended.stderr
    config.write_text("[space]\nlr = {low = 2}\n")
    ended = workshop_import(workshop, "study", "--study-name", "new", "--config", "c.toml")
    assert ended.returncode == 2 and "[space] lr: expected a number for high" in ended.stderr
    assert not (workshop.paths.folder / "new.log").exists()


def test_status_says_what_a_foreign_journal_is(workshop: Workshop) -> None:
    workshop.paths.folder.mkdir()
    stock_journal(workshop.paths.folder, "one", "two")
    for words in ([], ["foreign"]):
        command = [sys.executable, "-P", "-m", "journal_launcher", "status", *words]
        ended = subprocess.run(
            [*command, "--studies-dir", str(workshop.paths.folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        assert "damaged" not in ended.stdout
        assert "a journal of another program with the studies one, two; to go on: " in ended.stdout
    (line,) = [line for line in ended.stdout.splitlines() if "to go on" in line]
    words = shlex.split(line.partition("journal-launcher import ")[2].replace("NAME", "two"))
    ended = workshop_import(workshop, *words[: words.index("--studies-dir")])
    assert ended.returncode == 0 and (workshop.paths.folder / "two.log").exists(), ended.stderr
