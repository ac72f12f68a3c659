"""Workers on nodes that do not see the studies folder: the same study, model and files as here."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher import carried_engine
from launcher.harness import FAKES, ROOT, Workshop, finish, wait_until
from launcher.test_carried import CARRIED, kill_agents, kinds, model
from launcher.test_through_parent import SEARCH, found
from launcher.test_trial_dir import TRAINING, check_it_went_on, folders

from journal_launcher.base import events
from journal_launcher.launcher import launch as module
from journal_launcher.launcher.engines import scratch

BLIND = f"{CARRIED}; carried_engine.CarriedEngine.blind = (0, 1, 2)"


@pytest.fixture(autouse=True)
def scratches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where agents have their folders; none is left, or the next agent removes it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield tmp_path / "tmp" / f"journal-launcher-{os.getuid()}"
    with scratch.scratch_folder():
        pass
    assert not list((tmp_path / "tmp").iterdir())


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_all(monkeypatch, 0, 1, 2)


def carry_all(monkeypatch: pytest.MonkeyPatch, *blind: int) -> None:
    monkeypatch.setattr(module, "LocalEngine", carried_engine.CarriedEngine)
    monkeypatch.setattr(carried_engine.CarriedEngine, "blind", blind)


def test_an_objective_gives_the_same_study(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(SEARCH)
    assert workshop.launch(n_trials=8).exit_code == 0
    local = found(workshop)
    carry_all(monkeypatch, 0)
    assert workshop.launch(n_trials=8, overwrite=True).exit_code == 0
    assert found(workshop) == local


def fetches(shop: Workshop, name: str) -> int:
    logs = (shop.paths.folder / name / "workers").glob("*.log")
    return sum(log.read_text().count("fetching the table's arrays") for log in logs)


def test_a_table_gives_the_same_model_and_travels_once_a_node(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = model(workshop, "one")
    assert local
    carry_all(monkeypatch, 0, 1, 2)
    assert model(workshop, "other", workers=3, gpus="none") == local
    assert fetches(workshop, "other") == 1


def test_who_sees_the_studies_folder_is_sent_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_all(monkeypatch, 1)
    both = model(workshop, "both", workers=2, gpus="none")
    carry_all(monkeypatch)
    assert both == model(workshop, "seen", workers=2, gpus="none")
    assert (fetches(workshop, "both"), fetches(workshop, "seen")) == (1, 0)


def test_another_agent_takes_over_where_the_one_that_fetched_was_killed(
    workshop: Workshop, scratches: Path
) -> None:
    """The first one's node fills slowly; the second worker's agent waits for it meanwhile."""
    killed = workshop.folder / "killed"
    slow = "from journal_launcher.launcher.engines import carried; "
    slow += "import os, time; whole = carried.parcels; "
    slow += f"slowly = lambda: os.path.exists({str(killed)!r}) or time.sleep(1.5) or True; "
    slow += "carried.parcels = lambda *of: (one for one in whole(*of) if slowly())"
    options = ("--data", "sklearn:diabetes", "--model-type", "linear", "--n-trials", "3")
    options += ("--workers", "2")
    process = workshop.start(*options, first=f"{BLIND}; {slow}", table=True)
    logs = [workshop.paths.worker_log(index) for index in (0, 1)]

    def fetching() -> list[int]:
        texts = [log.read_text() if log.exists() else "" for log in logs]
        return [index for index, text in enumerate(texts) if "fetching" in text]

    wait_until(lambda: bool(fetching()), 60)
    first = fetching()[0]
    agents = kinds(workshop)["agent"]
    victim = next(one for one in agents if os.path.samefile(_stderr(one), logs[first]))
    victim.kill()
    killed.touch()
    ended = finish(process, 120)
    assert ended.code == 0, ended.err
    assert workshop.states().count("COMPLETE") >= 3
    assert fetches(workshop, "study") == 2


def _stderr(process: psutil.Process) -> str:
    return f"/proc/{process.pid}/fd/2"


FULL = """
import errno, os
from journal_launcher.launcher.engines import node_arrays
def full(*of):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
node_arrays.keep = full
"""


def test_a_node_with_a_full_disk_is_one_line_and_a_lost_slot(
    workshop: Workshop, tmp_path: Path
) -> None:
    """The second worker's node sees the studies folder."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif sys.argv[0].endswith('/agent.py') or 'agent.py' in str(sys.orig_argv):\n"
        + "".join(f"    {line}\n" for line in FULL.strip().splitlines())
    )
    first = f"{CARRIED}; carried_engine.CarriedEngine.blind = (0,)"
    options = ("--data", "sklearn:diabetes", "--model-type", "linear", "--n-trials", "3")
    options += ("--workers", "2")
    paths = os.pathsep.join([str(tmp_path), str(FAKES), str(ROOT)])
    process = workshop.start(*options, first=first, table=True, environment={"PYTHONPATH": paths})
    ended = finish(process, 120)
    assert ended.code == 0, ended.err
    assert ended.err.count("No space left on device") == 1, ended.err
    assert "set TMPDIR" in ended.err and "going on without it" in ended.err
    assert workshop.states().count("COMPLETE") == 3


# --- folders of trials


def test_the_best_trials_files_are_published(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    deep = trial_dir() / "a folder" / "deep"
    deep.mkdir(parents=True)
    (deep / "weights").write_bytes(os.urandom(10) + str(x).encode() * 100_000)
    (trial_dir() / "latest").symlink_to(deep / "weights")
    (trial_dir() / "empty").mkdir()
    (trial_dir() / "outside").symlink_to("/etc/passwd")
    return x

def save_best(study, directory):
    (directory / "saved").write_bytes((trial_dir() / "latest").read_bytes())
"""
    workshop.write(code)
    carry_all(monkeypatch, 0, 1)
    assert workshop.launch(n_trials=7, workers=2).exit_code == 0
    folder = workshop.paths.best_model_directory
    weights = (folder / "a folder" / "deep" / "weights").read_bytes()
    assert weights[10:] == str(workshop.study().best_value).encode() * 100_000
    assert (folder / "saved").read_bytes() == (folder / "latest").read_bytes() == weights
    assert not (folder / "outside").exists()
    assert not workshop.paths.trials.exists()
    # The model is no longer whole, so it is saved again, from what was published of the trial.
    (folder / "saved").unlink()
    assert workshop.launch(n_trials=7, workers=2).exit_code == 0
    assert (folder / "saved").read_bytes() == (folder / "latest").read_bytes() == weights


def test_a_front_publishes_the_folders_of_all_its_trials(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    (trial_dir() / "x").write_text(str(x))
    return x, 1 - x
"""
    )
    carry_all(monkeypatch, 0)
    directions = ("minimize", "minimize")
    assert workshop.launch(n_trials=3, direction=directions).exit_code == 0
    folder = workshop.paths.best_model_directory
    found = {path.parent.name: path.read_text() for path in folder.glob("*/x")}
    assert found == {str(trial.number): str(trial.params["x"]) for trial in workshop.trials()}


def test_a_killed_workers_trial_goes_on_from_its_checkpoint(workshop: Workshop) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3", first=BLIND)
    pid = int(workshop.noted("running"))
    assert folders(workshop) == ["0"], "the best so far came back, what runs is on its node"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: folders(workshop) == ["0", "1"])
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    check_it_went_on(workshop)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_command_goes_on_from_the_checkpoint(
    workshop: Workshop, number: signal.Signals
) -> None:
    """On another node, or without any."""
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3", first=BLIND)
    workshop.noted("running")
    process.send_signal(number)
    finish(process)
    assert folders(workshop) == ["0", "1"]
    workshop.tell("go")
    first = BLIND if number == signal.SIGINT else ""
    ended = workshop.run("--n-trials", "3", first=first)
    assert ended.code == 0, ended.err
    check_it_went_on(workshop)


def test_what_was_lost_with_a_node_is_said_and_begins_anew(workshop: Workshop) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3", "--max-retries", "0", first=BLIND)
    workshop.noted("running")
    kill_agents(workshop)
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    assert "trial 1: what it may have kept in its folder on" in ended.err
    assert workshop.noted("began 2").split()[0] == "0"
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]


def test_what_was_lost_with_the_launch_is_said_and_begins_anew(workshop: Workshop) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3", first=BLIND)
    workshop.noted("running")
    process.kill()
    finish(process)
    wait_until(lambda: not workshop.processes())
    assert folders(workshop) == ["0"]
    workshop.tell("go")
    ended = workshop.run("--n-trials", "3", first=BLIND)
    assert ended.code == 0, ended.err
    assert f"in its folder on {os.uname().nodename} is gone" in ended.err
    assert workshop.noted("began 2").split()[0] == "0"


def test_a_script_finds_its_folder_and_its_value_there(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workshop.folder / "train.sh").write_text('echo "$JL_X" >"$1/weights"\necho "$JL_X"\n')
    monkeypatch.chdir(workshop.folder)
    carry_all(monkeypatch, 0)
    space = {"x": [1, 2, 3, 4]}
    command = "sh train.sh {dir}"
    ended = workshop.launch(n_trials=5, objective=None, command=command, space=space)
    assert ended.exit_code == 0
    best = (workshop.paths.best_model_directory / "weights").read_text()
    assert float(best) == workshop.study().best_value


def test_folders_that_came_back_go_when_a_better_trial_has_ended(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    trial.suggest_float("x", 0, 1)
    (trial_dir() / "weights").touch()
    return -trial.number
"""
    )
    carry_all(monkeypatch, 0)
    seen: list[int] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded):  # the folder of the best so far, and its own
            seen.append(len(folders(workshop)))

    assert workshop.launch(look, n_trials=4).exit_code == 0
    assert seen == [1, 2, 2, 2]


BIG = """
from journal_launcher import trial_dir

def objective(trial):
    size = 300 if trial.number == 0 else 1
    with open(trial_dir() / "weights", "wb") as file:
        for _ in range(size):
            file.write(bytes(1 << 20))
    return trial.suggest_float("x", 0, 1) - size
"""


@pytest.mark.parametrize("dies", ["agent", "launch"])
def test_a_best_trial_never_lacks_the_folder_that_was_on_its_way(
    workshop: Workshop, dies: str
) -> None:
    workshop.write(BIG)
    process = workshop.start("--n-trials", "2", first=BLIND)
    arriving = workshop.paths.arriving_folder(0, 0) / "weights"
    wait_until(arriving.exists)
    if dies == "agent":
        kill_agents(workshop)
    else:
        process.kill()
    ended = finish(process)
    if dies == "launch":
        wait_until(lambda: not workshop.processes())
        ended = workshop.run("--n-trials", "2", first=BLIND)
    assert ended.code == 0, ended.err
    best = workshop.study().best_trial
    size = round(best.params["x"] - best.value) << 20
    assert (workshop.paths.best_model_directory / "weights").stat().st_size == size
