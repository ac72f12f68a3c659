"""The single save: one valid model or none after a kill at any step, and what is in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from disk_steps import disk_steps
from launcher.harness import ROOT, Workshop
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import model_store
from journal_launcher.study.importing import import_study

SAVING = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)

def save_best(study, directory):
    with open(HERE / "saves", "a") as saves:
        saves.write("x")
    if (HERE / "die").exists():
        (HERE / "die").unlink()
        (directory / "half").write_text("half")
        os._exit(1)
    (directory / "sub").mkdir()
    (directory / "sub" / "weights.bin").write_bytes(b"w" * 1000)
    (directory / "card.txt").write_text(str(study.best_trial.number))
"""

# For every step of a publish: forks a process that kills itself there. A step is a call of a
# function of `os` that changes the file system; the kill comes before or after it.
PUBLISH = """
import os, signal, sys
from pathlib import Path

from test_save import of, prepared
from journal_launcher.launcher import model_store

def publish(folder, nth, when):
    calls, paths = 0, prepared(folder)
    def deadly(function):
        def call(*arguments, **more):
            nonlocal calls
            calls += 1
            if calls == nth and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **more)
            if calls == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return call
    for name in ("unlink", "rmdir", "replace", "fsync", "open", "mkdir", "rename", "remove"):
        setattr(os, name, deadly(getattr(os, name)))
    model_store.publish(paths, model_store.stage(paths, of(2, 0.5)))

nth, status = 0, 1
while status != 0:
    nth += 1
    if os.fork() == 0:
        publish(Path(sys.argv[1]) / str(nth), nth, sys.argv[2])
        os._exit(0)
    status = os.wait()[1]
    assert status in (0, signal.SIGKILL), status
print(nth)
"""


def of(trial: int, value: float | None = None) -> Sidecar:
    return Sidecar(best=Best(trial=trial, value=value))


def put(paths: StudyPaths, trial: int) -> None:
    """Stage what a worker would: a file, and a folder of files."""
    staging = model_store.clear_staging(paths)
    (staging / "best_model.cbm").write_text(f"model {trial}" * 100)
    (staging / "training_diagnostics.json").write_text(f"diagnostics {trial}")
    (staging / "best_model").mkdir()
    (staging / "best_model" / f"part{trial}").write_text("part")


def prepared(folder: Path) -> StudyPaths:
    """A study with the published model of trial 1, and trial 2's staged files."""
    paths = StudyPaths(folder, "study")
    paths.directory.mkdir(parents=True)
    put(paths, 1)
    (paths.staging / "best_model.old").write_text("only in the first model")
    model_store.publish(paths, model_store.stage(paths, of(1, 1.0)))
    put(paths, 2)
    return paths


def check_one_model_or_none(paths: StudyPaths) -> int | None:
    """The published model's trial; whatever is published must be whole."""
    for trial in (1, 2):
        if model_store.published(paths, Best(trial=trial)) is not None:
            return trial
    assert not paths.sidecar.exists()
    return None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_step_leaves_one_model_or_none(tmp_path: Path, when: str) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(tmp_path), when],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)  # the last one was not reached any more
    outcomes = [complete_after_kill(tmp_path / str(nth)) for nth in range(1, steps)]
    assert len(outcomes) > 20 and set(outcomes) == {1, None, 2}


def complete_after_kill(folder: Path) -> int | None:
    """Which model a kill left; whichever it was, the next launch completes the save."""
    paths = StudyPaths(folder, "study")
    left = check_one_model_or_none(paths)
    staged = (paths.staging / "manifest.json").exists() and left != 2
    if staged:
        assert model_store.complete(paths, Best(trial=2)) is not None, "no second fit"
    elif left != 2:
        put(paths, 2)
        model_store.publish(paths, model_store.stage(paths, of(2, 0.5)))
    else:
        model_store.drop_staging(paths)
    sidecar = model_store.published(paths, Best(trial=2))
    assert sidecar is not None
    diagnostics = "training_diagnostics.json"
    assert set(sidecar.files or ()) == {"best_model.cbm", "best_model/part2", diagnostics}
    assert paths.diagnostics.read_text() == "diagnostics 2"
    names = {path.name for path in paths.directory.iterdir() if path.name[0] != "."}
    assert names == {"best_model", "best_model.cbm", "best_model.meta.json", diagnostics}
    return left


def test_every_step_is_on_the_disk_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, folder = prepared(tmp_path), "fsync study"
    steps = disk_steps(monkeypatch)
    sidecar = model_store.stage(paths, of(2))
    files = {f"fsync {Path(name).name}" for name in sidecar.files or ()}
    assert set(steps[:-3]) == {*files, "fsync staging", "fsync best_model"}
    assert steps[-3:] == ["fsync temporary", "replace manifest.json", "fsync staging"]
    steps.clear()
    model_store.publish(paths, sidecar)
    # Without its sidecar there is no model: it goes away first, and the new one comes last.
    assert steps[:3] == ["replace best_model.meta.json", "fsync replaced", folder]
    moved = [place for place, step in enumerate(steps) if step.startswith("replace")]
    assert [steps[place + 1] for place in moved] == ["fsync replaced"] * 5 + [folder] * 4
    assert [steps[place + 2] for place in moved[:-1]] == [folder] * 5 + ["fsync staging"] * 3
    assert steps[moved[-1] - 1 : moved[-1] + 1] == [
        "fsync temporary",
        "replace best_model.meta.json",
    ]


def test_what_was_staged_for_another_best_is_not_published(tmp_path: Path) -> None:
    paths = prepared(tmp_path)
    model_store.stage(paths, of(2))
    assert model_store.complete(paths, Best(trial=3)) is None
    (paths.staging / "best_model.cbm").write_text("changed since")
    assert model_store.complete(paths, Best(trial=2)) is None
    assert check_one_model_or_none(paths) == 1


def test_diagnostics_of_an_older_model_do_not_stay_beside_the_next(tmp_path: Path) -> None:
    paths = prepared(tmp_path)
    assert paths.diagnostics.read_text() == "diagnostics 1"
    (paths.staging / "training_diagnostics.json").unlink()
    model_store.publish(paths, model_store.stage(paths, of(2)))
    assert not paths.diagnostics.exists()
    assert model_store.published(paths, Best(trial=2)) is not None


def test_a_changed_model_is_no_model(tmp_path: Path) -> None:
    paths = prepared(tmp_path)
    (paths.directory / "best_model.cbm").write_text("changed")
    assert model_store.published(paths, Best(trial=1)) is None


def test_a_manifest_of_the_users_own_is_published_too(tmp_path: Path) -> None:
    paths = prepared(tmp_path)
    for name in ("manifest.json", "deep/manifest.json"):
        (paths.staging / "best_model" / name).parent.mkdir(exist_ok=True)
        (paths.staging / "best_model" / name).write_text("theirs")
    sidecar = model_store.publish(paths, model_store.stage(paths, of(2)))
    assert {"best_model/manifest.json", "best_model/deep/manifest.json"} <= set(sidecar.files or ())
    assert "manifest.json" not in (sidecar.files or ())
    (paths.directory / "best_model" / "manifest.json").write_text("changed")
    assert model_store.published(paths, Best(trial=2)) is None


def test_only_plain_files_are_published(tmp_path: Path) -> None:
    paths = prepared(tmp_path)
    (paths.staging / "link").symlink_to("/etc/passwd")
    with pytest.raises(JournalLauncherError, match=r"found .*link"):
        model_store.stage(paths, Sidecar())


# --- whole launches


def test_save_best_is_called_once_and_its_folder_published(workshop: Workshop) -> None:
    workshop.write(SAVING)
    result = workshop.launch(n_trials=3, workers=2)
    assert result.model_path == workshop.paths.directory / "best_model"
    sidecar = workshop.sidecar()
    assert set(sidecar["files"]) == {"best_model/card.txt", "best_model/sub/weights.bin"}
    assert sidecar["trial"] == workshop.study().best_trial.number
    assert sidecar["value"] == workshop.study().best_value
    assert (result.model_path / "card.txt").read_text() == str(sidecar["trial"])
    assert not workshop.paths.staging.exists()
    assert workshop.launch(n_trials=3).exit_code == 0
    assert (workshop.folder / "saves").read_text() == "x"


def test_a_worker_that_dies_over_the_refit_is_replaced_once(workshop: Workshop) -> None:
    workshop.write(SAVING)
    workshop.tell("die")
    assert workshop.launch(n_trials=1).exit_code == 0
    assert (workshop.folder / "saves").read_text() == "xx"
    assert "best_model/half" not in workshop.sidecar()["files"]


def test_a_refit_that_always_dies_fails_the_launch_and_the_next_one_saves(
    workshop: Workshop,
) -> None:
    workshop.write(SAVING.replace('(HERE / "die").unlink()', ""))
    workshop.tell("die")
    result = workshop.launch(n_trials=1)
    assert (result.exit_code, result.model_path) == (1, None)
    assert result.message == "the best model's refit failed 2 times"
    assert not workshop.paths.sidecar.exists()
    (workshop.folder / "die").unlink()
    assert workshop.launch(n_trials=1).exit_code == 0
    assert workshop.states() == ["COMPLETE"]
    assert workshop.paths.sidecar.exists()


def test_a_save_best_that_raises_is_shown(workshop: Workshop) -> None:
    workshop.write(SAVING + "    raise OSError('no such shelf')\n")
    result = workshop.launch(n_trials=1)
    assert result.exit_code == 1 and "no such shelf" in str(result.message)
    warnings = [note.text for note in workshop.of(events.Note) if note.level == "warning"]
    assert len(warnings) == 1 and "in save_best" in warnings[0]


UNSAVED = """
import os
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "checkpoint.pt").write_text(str(trial.number))
    note(f"trained {trial.number}")
    return VALUES[trial.number] if isinstance(VALUES[0], float) else tuple(VALUES[trial.number])

def save_best(study, directory):
    (directory / "half").touch()
    if not (HERE / "mended").exists():
        raise RuntimeError("no such shelf")
    (directory / "card").write_text(str(len(study.best_trials)))
"""


def test_a_save_best_that_raises_is_repeated_alone(workshop: Workshop) -> None:
    workshop.write(UNSAVED, VALUES=[3.0, 1.0, 2.0])
    result = workshop.launch(n_trials=3)
    assert result.exit_code == 1 and result.model_path is None
    assert str(result.message).startswith(
        "save_best raised for trial 1: RuntimeError: no such shelf; every trial is kept: mend that "
        "and type the same command again, which repeats the save alone (CPU, log "
    )
    assert workshop.states() == ["COMPLETE"] * 3 and not workshop.paths.sidecar.exists()
    for number in range(3):
        (workshop.folder / f"trained {number}").unlink()
    workshop.tell("mended")
    result = workshop.launch(n_trials=3)
    assert result.exit_code == 0 and not list(workshop.folder.glob("trained *"))
    folder = workshop.paths.best_model_directory
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"half": "", "card": "1", "checkpoint.pt": "1"}


FILES = """
import shutil
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "checkpoint.pt").write_text(str(trial.number))
    return trial.suggest_float("x", 0.5, 1)
"""
SAVES = """
def save_best(study, directory):
    shutil.copy(trial_dir() / "checkpoint.pt", directory / "model.pt")
"""


def imported(workshop: Workshop) -> None:
    """A study whose only trial is better than any that the objective has."""
    storage = JournalStorage(JournalFileBackend(str(workshop.folder / "old.log")))
    study = optuna.create_study(storage=storage, study_name="study")
    space = {"x": FloatDistribution(0.5, 1)}
    study.add_trial(optuna.create_trial(params={"x": 0.5}, distributions=space, value=0.0))
    import_study(str(workshop.folder / "old.log"), None, str(workshop.paths.folder))


def test_an_imported_best_trial_says_that_its_files_did_not_come(workshop: Workshop) -> None:
    imported(workshop)
    workshop.write(FILES + SAVES)
    result = workshop.launch(n_trials=2)
    said = str(result.message)
    folder = workshop.paths.trial_folder(0)
    assert result.exit_code == 1 and "FileNotFoundError" in said
    assert "; trial 0 was imported, and the files of its trial_dir() did not come" in said
    assert f"copy them to {folder}, or let save_best do without; every trial is kept" in said
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.pt").write_text("brought")
    assert workshop.launch(n_trials=2).exit_code == 0
    assert (workshop.paths.best_model_directory / "model.pt").read_text() == "brought"


def test_an_imported_best_trial_without_save_best_is_said_to_have_no_files(
    workshop: Workshop,
) -> None:
    imported(workshop)
    workshop.write(FILES)
    assert workshop.launch(n_trials=2).exit_code == 0
    said = "trial 0 came by an import, without files: what is saved has the parameters alone"
    assert [event.text for event in workshop.of(events.Note)].count(said) == 1
    workshop.write(FILES.replace("0.5, 1)", "0.5, 1) - 1"))
    assert workshop.launch(n_trials=3).exit_code == 0
    assert (workshop.paths.best_model_directory / "checkpoint.pt").read_text() == "2"
    assert [event.text for event in workshop.of(events.Note)].count(said) == 0


def test_every_trial_that_was_not_saved_is_named(workshop: Workshop) -> None:
    values = [[99.0, 99.0], *([float(n), 20.0 - n] for n in range(12))]
    workshop.write(UNSAVED, VALUES=values)
    result = workshop.launch(n_trials=13, direction=["minimize", "minimize"])
    named = ", ".join(map(str, range(1, 11)))
    assert f"raised for trials {named} and 2 more: RuntimeError" in str(result.message)


def test_several_objectives_have_a_pareto_front(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    return (x, 1 - x) if trial.number < 3 else (2.0, 2.0)
"""
    )
    result = workshop.launch(n_trials=4, direction=["minimize", "minimize"])
    assert result.exit_code == 0
    front = workshop.sidecar()["pareto_front"]
    assert [point["number"] for point in front] == [0, 1, 2]
    expected = [(trial.params, trial.values) for trial in workshop.trials()[:3]]
    assert [(point["params"], point["values"]) for point in front] == expected
    assert workshop.sidecar()["directions"] == ["minimize", "minimize"]


def test_parameters_that_json_has_no_number_for_are_kept_as_text(workshop: Workshop) -> None:
    workshop.write(
        """
def save_best(study, directory):
    with open(HERE / "saves", "a") as saves:
        saves.write("x")

def objective(trial):
    trial.suggest_categorical("clip", [float("inf"), -float("inf")])
    trial.suggest_categorical("fill", [float("nan")])
    return 0.5
"""
    )
    ended = workshop.run("--n-trials", "1", "--json")
    assert ended.code == 0, ended.err
    params = workshop.sidecar()["params"]
    assert params["clip"] in ("inf", "-inf") and params["fill"] == "nan"
    assert json.loads(ended.out, parse_constant=pytest.fail)["best_trial"]["params"] == params
    assert workshop.run("--n-trials", "1").code == 0
    assert (workshop.folder / "saves").read_text() == "x"


def test_without_a_completed_trial_there_is_no_model(workshop: Workshop) -> None:
    workshop.write("import optuna\n\ndef objective(trial):\n    raise optuna.TrialPruned\n")
    result = workshop.launch(n_trials=2)
    assert (result.exit_code, result.model_path) == (1, None)
    assert result.message == "no trial completed, so there is no model"
    assert workshop.states() == ["PRUNED", "PRUNED"]
    assert not workshop.paths.sidecar.exists()


def test_the_sidecar_says_where_the_model_comes_from(workshop: Workshop) -> None:
    workshop.write(SAVING)
    assert workshop.launch(n_trials=1).exit_code == 0
    sidecar: dict[str, Any] = workshop.sidecar()
    assert sidecar["schema_version"] == 1
    assert sidecar["versions"]["optuna"] and sidecar["device"] == "CPU"
    assert sidecar["started"].endswith("Z") and sidecar["published"].endswith("Z")
    assert (sidecar["n_finished"], sidecar["n_failed"]) == (1, 0)
    record = json.loads(workshop.paths.launch_record.read_text())
    assert (record["exit_reason"], record["exit_code"]) == ("complete", 0)
