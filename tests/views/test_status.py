"""`status` on real studies: what it says, that it changes nothing, and what it does not import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from journal_launcher.base.paths import StudiesFolder
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.lease import Lease
from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.study.study import BUDGET_ATTRIBUTE, StudyHandle
from journal_launcher.views.status import Status, comparison_lines, status_json, winner_lines


@pytest.fixture
def studies(tmp_path: Path) -> StudiesFolder:
    """A folder with study `mine`: two finished trials of three, one failed, one running."""
    folder = StudiesFolder.at(tmp_path / "my studies")
    folder.root.mkdir()
    paths = folder.study("mine")
    identity = {"directions": ["maximize"], "metric": "r2", "seed": 0}
    record = StudyHandle.create(open_storage(paths.journal, create=True), "mine", identity)
    record.set_attribute(BUDGET_ATTRIBUTE, 3)
    study = optuna.load_study(study_name="mine", storage=record.storage)
    for value in (0.25, 0.5):
        study.tell(study.ask(), value)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    owner = Owner.this_process("launch", 1).to_json()
    record.storage.start_trial(study._study_id, {OWNER_ATTRIBUTE: owner, "jl_device": "GPU 0 X"})
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_one_line_says_progress_and_best(studies: StudiesFolder) -> None:
    assert studies.names() == ["mine"]
    line = Status(studies.study("mine")).line()
    assert line == "mine  2 of 3 finished, 1 failed, 1 stale, best r2 0.5 (trial 1)"
    with Lease(studies.study("mine").lease, "mine", "launch"):
        line = Status(studies.study("mine")).line()
    expected = "mine  2 of 3 finished, 1 failed, 1 running, best r2 0.5 (trial 1), run by pid "
    assert line.startswith(expected)


def test_a_budget_that_is_smaller_than_what_is_finished_is_left_out(studies: StudiesFolder) -> None:
    record = StudyHandle(open_storage(studies.study("mine").journal), "mine")
    record.set_attribute(BUDGET_ATTRIBUTE, 1)
    assert Status(studies.study("mine")).line().startswith("mine  2 finished, 1 failed")


def test_an_interrupted_trial_is_no_failure(studies: StudiesFolder) -> None:
    paths = studies.study("mine")
    with Lease(paths.lease, "mine", "launch"):
        record = StudyHandle(open_storage(paths.journal), "mine")
        record.fail(record.trial(3), "interrupted: its worker died with its launch")
    assert Status(paths).line() == "mine  2 of 3 finished, 1 failed, best r2 0.5 (trial 1)"
    assert "2 complete, 1 fail, 1 interrupted" in "\n".join(Status(paths).lines())
    assert record.count() == (2, 1)


def test_files_that_cannot_be_ours_are_no_studies(studies: StudiesFolder) -> None:
    for name in ("a b.log", "-x.log", ".log", "mine.json.log"):
        (studies.root / name).write_text("not ours")
    (studies.root / "folder.log").mkdir()
    assert studies.names() == ["mine"]


def test_everything_about_one_and_nothing_is_changed(studies: StudiesFolder) -> None:
    before = snapshot(studies.root)
    text = "\n".join(Status(studies.study("mine")).lines())
    for expected in (
        f"file          {studies.study('mine').journal}",
        "journal       sound",
        "progress      2 of 3 finished",
        "2 complete, 1 fail, 1 stale\n              stale: its launch is gone; the next one queues",
        "best          r2 0.5 (trial 1)",
        "run by        nobody",
        f"stale, its owner was worker 1 (pid {os.getpid()}",
    ):
        assert expected in text
    assert "health" not in text, "that is what the command of this name judges"
    assert snapshot(studies.root) == before


def test_a_running_launch_is_named(studies: StudiesFolder) -> None:
    paths = studies.study("mine")
    with Lease(paths.lease, "mine", "launch"):
        text = "\n".join(Status(paths).lines())
        assert f"run by        pid {os.getpid()} on " in text
        assert f"running on GPU 0 X, worker 1 (pid {os.getpid()}" in text
    assert "run by        nobody" in "\n".join(Status(paths).lines())


def test_a_foreign_writers_trial_is_named_and_left_alone(studies: StudiesFolder) -> None:
    stock = JournalStorage(JournalFileBackend(str(studies.study("mine").journal)))
    optuna.load_study(study_name="mine", storage=stock).ask()
    assert "trial 4       running, started by a foreign writer" in "\n".join(
        Status(studies.study("mine")).lines()
    )


def test_half_a_record_at_the_end_is_told(studies: StudiesFolder) -> None:
    with open(studies.study("mine").journal, "ab") as file:
        file.write(b'{"op_code":8,')
    assert "with half a record at its end" in "\n".join(Status(studies.study("mine")).lines())


def test_damage_names_line_and_byte_and_exits_3(studies: StudiesFolder) -> None:
    journal = studies.study("mine").journal
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"rubbish\n", *lines[3:]]))
    command = [sys.executable, "-m", "journal_launcher", "status", "mine"]
    command += ["--studies-dir", str(studies.root)]
    asked = [*command, "--json"]
    result = subprocess.run(asked, capture_output=True, text=True)
    assert result.returncode == 3 and "line 4, byte" in json.loads(result.stdout)["damage"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 3
    assert "line 4, byte" in result.stdout and "journal-launcher repair mine" in result.stdout
    assert "Traceback" not in result.stderr


def test_nothing_heavy_is_imported(studies: StudiesFolder) -> None:
    code = (
        "import sys; from journal_launcher.cli.program import run; "
        f"run(['status', '--studies-dir', {str(studies.root)!r}]); "
        "print(sorted({'torch', 'sklearn', 'catboost', 'pandas', 'rich'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_a_comparison_is_shown_by_its_studies_and_its_winner(tmp_path: Path) -> None:
    studies = StudiesFolder.at(tmp_path)
    identity = {"directions": ["maximize"], "metric": "r2", "seed": 0}
    for name in ("houses_linear", "houses_catboost", "houses_other"):
        storage = open_storage(studies.study(name).journal, create=True)
        StudyHandle.create(storage, name, identity)
    expected = ["houses_catboost  0 finished", "houses_linear  0 finished"]
    assert list(comparison_lines(studies, "houses")) == expected
    assert list(comparison_lines(studies, "flats")) == []
    sidecar = studies.study("houses").sidecar
    sidecar.parent.mkdir()
    sidecar.write_text('{"schema_version": 1, "comparison": {"reason": "linear won"}}')
    more = ["houses  chosen: linear won", f"best model    {sidecar.parent}"]
    assert list(comparison_lines(studies, "houses")) == [*expected, *more]
    assert list(winner_lines(studies)) == ["houses  comparison: chosen: linear won"]
    models = [
        {"model_type": "linear", "score": 0.5, "message": None},
        {"model_type": "catboost", "score": None, "message": "no GPU is free"},
        {"model_type": "xgboost", "score": None, "message": "until then", "skipped": True},
        *(3, {}, {"score": None, "message": 3}, {"score": None, "message": "of nobody"}),
    ]
    told = {"reason": "linear won", "models": models}
    sidecar.write_text(json.dumps({"schema_version": 1, "comparison": told}))
    more.insert(1, "houses  failed: catboost: no GPU is free")
    more.insert(2, "houses  failed: None: of nobody")
    assert list(comparison_lines(studies, "houses")) == [*expected, *more]
    sidecar.write_text("{")
    *_, told, _ = comparison_lines(studies, "houses")
    assert told.startswith(f"houses  {sidecar}: expected a JSON object, found")


def test_json_says_all_of_one_study(studies: StudiesFolder) -> None:
    before = snapshot(studies.root)
    found, damaged = status_json(studies, "mine")
    paths = studies.study("mine")
    assert not damaged and found.pop("last_activity").startswith("20")
    owner = found["running"][0].pop("owner")
    assert owner.startswith(f"worker 1 (pid {os.getpid()}")
    assert json.loads(json.dumps(found)) == {
        "schema_version": 1,
        "study": "mine",
        "journal": str(paths.journal),
        "damage": None,
        "other_studies": None,
        "metric": "r2",
        "directions": ["maximize"],
        "n_trials": 3,
        "n_finished": 2,
        "n_failed": 1,
        "states": {"complete": 2, "fail": 1, "stale": 1},
        "best_trial": {"number": 1, "value": 0.5, "confirmed": None},
        "pareto_front": None,
        "running": [{"number": 3, "state": "stale", "device": "GPU 0 X"}],
        "run_by": None,
        "model_path": None,
        "model_problem": None,
        "scores": None,
    }
    assert snapshot(studies.root) == before
    with Lease(paths.lease, "mine", "launch"):
        found, _ = status_json(studies, "mine")
        assert found["run_by"].startswith(f"pid {os.getpid()}")
        assert found["running"][0]["state"] == "running"


def test_the_scores_of_the_published_model_are_shown(studies: StudiesFolder) -> None:
    sidecar = studies.study("mine").sidecar
    sidecar.parent.mkdir(exist_ok=True)
    metrics = {
        "cv_metrics": {"r2": 0.5, "rmse": 2.0},
        "confirmed_metrics": {"r2": 0.25, "rmse": 3.0},
        "holdout_metrics": {"r2": None, "rmse": 3.5},
    }
    sidecar.write_text(json.dumps({"schema_version": 1, **metrics}))
    lines = list(Status(studies.study("mine")).lines())
    assert lines[-1] == "scores        r2 0.25, rmse 3 (fresh folds); rmse 3.5 (hold-out)"
    found, _ = status_json(studies, "mine")
    assert found["scores"] == {
        "folds": metrics["cv_metrics"],
        "fresh_folds": metrics["confirmed_metrics"],
        "holdout": metrics["holdout_metrics"],
    }


def test_json_of_all_with_damaged_and_empty_ones_and_a_comparison(studies: StudiesFolder) -> None:
    studies.study("empty").journal.touch()
    identity = {"directions": ["minimize", "minimize"], "seed": 0}
    two = StudyHandle.create(
        open_storage(studies.study("two").journal, create=True), "two", identity
    )
    study = optuna.load_study(study_name="two", storage=two.storage)
    for values in ((1.0, 2.0), (2.0, 1.0), (3.0, 3.0)):
        study.tell(study.ask(), values)
    linear = studies.study("houses_linear").journal
    StudyHandle.create(open_storage(linear, create=True), "houses_linear", identity)
    with linear.open("ab") as file:
        file.write(b"rubbish\n{}\n")
    sidecar = studies.study("houses").sidecar
    sidecar.parent.mkdir()
    sidecar.write_text('{"schema_version": 1, "comparison": {"reason": "linear won"}}')
    found, damaged = status_json(studies, None)
    won = {"name": "houses", "reason": "linear won", "failed": [], "problem": None}
    assert damaged and found["comparisons"] == [won]
    empty, broken, mine, two = found["studies"]
    assert {key for key in mine if empty[key] is None} - {"damage"} >= {"states", "n_finished"}
    assert "journal-launcher repair houses_linear" in broken["damage"]
    assert broken["n_finished"] is None and mine["n_finished"] == 2
    assert two["pareto_front"] == [0, 1] and two["best_trial"] is None
    found, damaged = status_json(studies, "houses")
    assert damaged and [study["study"] for study in found["studies"]] == ["houses_linear"]
    assert found["comparisons"] == [won]


def test_json_of_values_that_cannot_be_compared(tmp_path: Path) -> None:
    studies = StudiesFolder.at(tmp_path)
    journal = studies.study("s").journal
    identity = {"directions": ["minimize", "minimize"], "seed": 0}
    study = StudyHandle.create(open_storage(journal, create=True), "s", identity)
    study.queue_defaults({})
    record = {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1, "values": [1.0]}
    record |= {"datetime_complete": "2026-01-01T00:00:00.000000+00:00"}
    with journal.open("a") as file:
        file.write(json.dumps(record) + "\n")
    found, damaged = status_json(studies, "s")
    assert damaged and "expected 2 values in trial 0, found 1" in found["damage"]
    assert found["n_finished"] is None and found["pareto_front"] is None


def test_json_of_a_model(studies: StudiesFolder) -> None:
    sidecar = studies.study("mine").sidecar
    sidecar.parent.mkdir()
    for name, path in (("best_model.cbm", "best_model.cbm"), ("/etc/passwd", None)):
        sidecar.write_text(json.dumps({"schema_version": 1, "files": {name: "0"}}))
        found = status_json(studies, "mine")[0]["model_path"]
        assert found == (None if path is None else str(sidecar.parent / path))
    sidecar.write_text("{")
    assert status_json(studies, "mine")[0]["model_problem"].startswith(
        f"{sidecar}: expected a JSON"
    )


def test_a_sidecar_that_cannot_be_read_is_a_line_of_the_status(tmp_path: Path) -> None:
    paths = StudiesFolder.at(tmp_path).study("houses")
    identity = {"directions": ["maximize"], "metric": "r2", "seed": 0}
    StudyHandle.create(open_storage(paths.journal, create=True), "houses", identity)
    paths.directory.mkdir()
    paths.sidecar.write_text("{")
    *_, last = Status(paths).lines()
    assert last.startswith(f"best model    {paths.sidecar}: expected a JSON object, found")


@pytest.mark.parametrize(
    "values", ['"abc"', '["abc"]', "[1.0, 2.0]", "[]", "[1e400]", "[{}]", "[" + "9" * 400 + "]"]
)
def test_values_that_are_no_numbers_are_no_traceback(tmp_path: Path, values: str) -> None:
    studies = StudiesFolder.at(tmp_path)
    journal = studies.study("s").journal
    study = StudyHandle.create(
        open_storage(journal, create=True), "s", {"directions": ["minimize"]}
    )
    study.queue_defaults({})
    record = {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1}
    time = '"datetime_complete": "2026-01-01T00:00:00.000000+00:00"'
    with journal.open("a") as file:
        file.write(json.dumps(record)[:-1] + f', "values": {values}, {time}}}\n')
    status = Status(studies.study("s"))
    told = "\n".join([status.line(), *status.lines()])
    assert "1 complete" in told or "the values of a trial are numbers" in told
