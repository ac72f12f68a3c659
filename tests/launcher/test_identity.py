"""Whether a launch may go on with the study that it finds, and what becomes of the old one."""

import json
import re
from typing import Any

import optuna
import pytest
from launcher.harness import Workshop
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from journal_launcher.api import launch
from journal_launcher.base import events
from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.views.status import Status

TRIVIAL = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)

def other(trial):
    return 0.0
"""


def notes(shop: Workshop) -> list[str]:
    return [note.text for note in shop.of(events.Note) if "CPU" not in note.text]


def test_another_study_is_refused_and_what_is_free_is_free(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=2, seed=5).exit_code == 0
    before = workshop.paths.journal.read_bytes()
    other = workshop.reference.replace(":objective", ":other")
    for change, shown in [
        ({"direction": "maximize"}, "directions: the study has ['minimize'], this launch ['max"),
        ({"seed": 6}, "seed: the study has 5, this launch 6"),
        (
            {"objective": other},
            "objective: the study has '../my train.py:objective', this launch '",
        ),
    ]:
        with pytest.raises(UsageError, match=re.escape(shown)) as caught:
            workshop.launch(n_trials=3, **change)
        assert "--overwrite" in str(caught.value)
    assert workshop.paths.journal.read_bytes() == before
    free = {"sampler": "random", "workers": 2, "pruner": "median", "max_retries": 3}
    assert workshop.launch(n_trials=3, **free).exit_code == 0  # the seed is the study's own
    assert workshop.states() == ["COMPLETE"] * 3


def test_another_script_of_the_same_name_is_another_objective(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    other = workshop.folder / "elsewhere" / "my train.py"
    other.parent.mkdir()
    other.write_text(TRIVIAL)
    with pytest.raises(UsageError, match="objective: the study has"):
        workshop.launch(n_trials=2, objective=f"{other}:objective")


def test_links_to_the_same_script_and_studies_are_the_same_study(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    link = workshop.folder.parent / "far" / "away" / "link"
    link.parent.mkdir(parents=True)
    link.symlink_to(workshop.folder)
    for place in (link, workshop.folder):
        result = launch(
            objective=f"{place / 'my train.py'}:objective",
            studies_dir=link / "studies",
            study_name="study",
            gpus="none",
            n_trials=1,
        )
        assert result.exit_code == 0


def test_changed_data_are_named_and_what_to_type(workshop: Workshop) -> None:
    table = workshop.folder / "table.csv"
    table.write_text("x,y\n" + "".join(f"{n},{n * 7 % 31}\n" for n in range(60)))
    given: dict[str, Any] = {"objective": None, "model_type": "linear", "data": "table.csv"}
    given |= {"target": "y", "n_trials": 1}
    assert workshop.launch(**given).exit_code == 0
    table.write_text(table.read_text() + "60,1\n")
    with pytest.raises(UsageError) as caught:
        workshop.launch(**given)
    text = str(caught.value)
    assert text.startswith("study study: the data changed since this study began; ")
    assert "--study-name" in text and "--overwrite" in text and "sha256" not in text
    with pytest.raises(UsageError, match=r"else \(the data changed since.*; seed: the study has"):
        workshop.launch(**given, seed=3)
    other = workshop.folder / "elsewhere" / "table.csv"
    other.parent.mkdir()
    table.rename(other)
    with pytest.raises(UsageError) as caught:
        workshop.launch(**{**given, "data": "elsewhere/table.csv"})
    assert f"began (it had {table}, this launch has {other}); for the new" in str(caught.value)


def test_the_same_values_in_another_format_are_no_changed_data(workshop: Workshop) -> None:
    table = workshop.folder / "table.csv"
    rows = [(n + 0.25, n * 7 % 31) for n in range(60)]
    table.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows))
    given: dict[str, Any] = {"objective": None, "model_type": "linear", "data": "table.csv"}
    given |= {"target": "y", "n_trials": 1}
    assert workshop.launch(**given).exit_code == 0
    said = "written anew since this study began, with the same values in other words"
    table.write_text("x\ty\n" + "".join(f"{x}\t{y}\n" for x, y in rows))
    with pytest.raises(UsageError, match=f"{said}; put the old file back, or choose"):
        workshop.launch(**given)
    table.write_text("x;y\n" + "".join(f"{x};{y}\n".replace(".", ",") for x, y in rows))
    with pytest.raises(
        UsageError, match=rf"{said} \(columns are read .*'x' \(then plainly, now num"
    ):
        workshop.launch(**given)
    table.write_text("x,y\n" + "".join(f"{x},{y + 1}\n" for x, y in rows))
    with pytest.raises(UsageError, match="the data changed since this study began; "):
        workshop.launch(**given)


def test_another_reading_of_the_table_is_refused_by_its_columns(workshop: Workshop) -> None:
    table = workshop.folder / "table.csv"
    rows = "".join(f'"{n},{n * 31 % 1000:03d}.50",{n % 7}.5,{n * 7 % 31}\n' for n in range(1, 61))
    table.write_text(f"amount,x,y\n{rows}")
    given: dict[str, Any] = {"objective": None, "model_type": "linear", "data": "table.csv"}
    given |= {"target": "y", "n_trials": 1}
    assert workshop.launch(**given).exit_code == 0
    told = "table.csv: 60 rows, regression of y; 2 numbers"
    assert notes(workshop)[0] == told
    sidecar = json.loads(workshop.paths.sidecar.read_text())
    assert sidecar["summary"] == told
    assert sidecar["schema"]["columns"][0]["format"] == "1,234.5"
    study = workshop.study()
    identity = study.user_attrs["journal_launcher"]
    assert identity.pop("reading") == {"amount": "number as 1,234.5"}
    study.set_user_attr("journal_launcher", identity)  # as a version before formats had it
    with pytest.raises(UsageError) as caught:
        workshop.launch(**{**given, "n_trials": 2})
    assert str(caught.value).startswith(
        "study study: columns are read otherwise than when it began: 'amount' (then plainly, now "
        "number as 1,234.5), and scores of two readings do not compare; "
    )
    assert "--overwrite" in str(caught.value)


def test_a_seed_gives_the_same_first_trials_again(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    drawn = []
    for seed in (1, 1, 2):
        assert workshop.launch(n_trials=2, seed=seed, overwrite=True).exit_code == 0
        drawn.append([trial.params["x"] for trial in workshop.trials()])
    assert drawn[0] == drawn[1] != drawn[2]


def test_overwrite_moves_the_whole_old_study_aside(workshop: Workshop) -> None:
    workshop.write(TRIVIAL + "\ndef save_best(study, directory):\n    (directory / 'a').touch()\n")
    assert workshop.launch(n_trials=2).exit_code == 0
    folder = workshop.paths.folder
    (folder / "study.log.torn").write_text("torn")
    before = workshop.paths.journal.read_bytes(), workshop.paths.sidecar.read_bytes()
    result = workshop.launch(n_trials=1, overwrite=True, direction="maximize")
    assert result.exit_code == 0 and workshop.states() == ["COMPLETE"]
    (aside,) = [path for path in folder.iterdir() if re.fullmatch(r"study\.20[-\dT.]+Z", path.name)]
    assert any(str(aside) in note for note in notes(workshop))
    kept = (aside / "study.log").read_bytes(), (aside / "best_model.meta.json").read_bytes()
    assert kept == before
    assert (aside / "study.log.torn").exists() and (aside / "best_model" / "a").exists()
    assert workshop.launch(n_trials=1, overwrite=False, direction="maximize").exit_code == 0


def test_a_stock_study_is_adopted_with_its_trials(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    workshop.paths.folder.mkdir()
    storage = JournalStorage(JournalFileBackend(str(workshop.paths.journal)))
    stock = optuna.create_study(study_name="study", storage=storage)
    stock.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    stock.enqueue_trial({"x": 0.125})
    assert workshop.launch(n_trials=4).exit_code == 0
    assert workshop.states() == ["COMPLETE"] * 4
    assert workshop.trials()[2].params == {"x": 0.125}  # what was queued is run
    assert workshop.trials()[2].user_attrs["jl_worker"] == 0
    with pytest.raises(UsageError, match="seed"):
        workshop.launch(n_trials=5, seed=9)


def test_a_journal_with_another_name_is_refused(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    workshop.paths.journal.rename(workshop.paths.folder / "renamed.log")
    with pytest.raises(JournalDamagedError, match="was the file renamed"):
        workshop.launch(n_trials=1, study_name="renamed")


def test_a_changed_source_and_a_wider_range_are_one_note_each(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    workshop.write(TRIVIAL.replace("0, 1", "0, 2"))
    assert workshop.launch(n_trials=4, workers=2).exit_code == 0
    source, space = notes(workshop)
    assert source == "objective source changed since the last launch; trials are kept"
    assert space.startswith("the search space changed, earlier trials are kept: x (Float")
    assert "high=1.0" in space and "high=2.0" in space
    assert workshop.launch(n_trials=5).exit_code == 0  # the last trials had this range
    assert notes(workshop) == []


def test_an_incompatible_search_range_ends_the_launch(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    workshop.write(TRIVIAL.replace("suggest_float", "suggest_int"))
    result = workshop.launch(n_trials=9, workers=2)
    assert result.exit_code == 1
    assert "the search space contradicts the study" in str(result.message)
    assert "--study-name" in str(result.message)
    assert workshop.states().count("COMPLETE") == 1 and "RUNNING" not in workshop.states()


def test_the_budget_and_the_launch_are_written_down_for_people(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1, workers=2).exit_code == 0
    record = json.loads(workshop.paths.launch_record.read_text())
    assert [worker["device"] for worker in record["workers"]] == ["CPU", "CPU"]
    assert record["settings"]["n_trials"] == 1
    assert workshop.study().user_attrs["journal_launcher_n_trials"] == 1


def test_odd_attributes_of_another_writer_cost_no_launch(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    study = workshop.study()
    identity = study.user_attrs["journal_launcher"]
    odd: dict[str, Any] = {"n_trials": "20", "noted": 7, "settings": [1], "baselines": {"a": "b"}}
    for key, value in odd.items():
        study.set_user_attr(f"journal_launcher_{key}", value)
    attributes = {"jl_owner": {"pid": "../etc"}, "jl_duration_s": "x", "jl_fail_reason": 7}
    system = {"constraints": "abc", "retry_history": 3, "journal_launcher_copy_of": "x"}
    for state in (TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING):
        value = 0.5 if state is TrialState.COMPLETE else None
        trial = optuna.create_trial(
            state=state, value=value, user_attrs=attributes, system_attrs=system
        )
        study.add_trial(trial)
    ended = workshop.run("--n-trials", "4", "--sampler", "tpe")
    assert ended.code == 0 and "Traceback" not in ended.err, ended.err
    assert workshop.states().count("COMPLETE") == 4 and workshop.states().count("RUNNING") == 1
    study.set_user_attr("journal_launcher", {**identity, "seed": "x"})
    ended = workshop.run("--n-trials", "5")
    assert ended.code == 2 and ended.err.count("\n") == 1, ended.err
    assert "attribute journal_launcher" in ended.err and "--overwrite" in ended.err


def test_a_trial_that_another_writer_gave_too_few_values_ends_the_launch(
    workshop: Workshop,
) -> None:
    """Optuna can compare it with no other, and says so in words of its own."""
    workshop.write(TRIVIAL)
    workshop.paths.folder.mkdir()
    storage = JournalStorage(JournalFileBackend(str(workshop.paths.journal)))
    study = optuna.create_study(storage=storage, study_name="study", directions=["minimize"] * 2)
    storage.set_trial_state_values(study.ask()._trial_id, TrialState.COMPLETE, [1.0])
    with pytest.raises(JournalDamagedError, match="expected 2 values in trial 0, found 1"):
        workshop.launch(n_trials=2, direction=["minimize", "minimize"])
    assert "1 complete" in "\n".join(lines := list(Status(workshop.paths).lines()))
    assert any(line.startswith("journal       study study: expected 2 values") for line in lines)
