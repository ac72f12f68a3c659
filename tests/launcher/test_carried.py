"""Workers behind an agent: the same study, files and all, and nothing is left after any kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher import carried_engine
from launcher.harness import PATIENT, ROOT, Workshop, finish, wait_until
from launcher.test_through_parent import SEARCH, found
from launcher.test_trial_dir import TRAINING, check_it_went_on

from journal_launcher.api import launch
from journal_launcher.base import channel
from journal_launcher.base.errors import UsageError
from journal_launcher.launcher import launch as module
from journal_launcher.launcher.engines import scratch

TESTS = Path(__file__).parents[1]
CARRIED = (
    f"sys.path.insert(0, {str(TESTS)!r}); from launcher import carried_engine; "
    "carried_engine.install()"
)


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LocalEngine", carried_engine.CarriedEngine)


@pytest.fixture(autouse=True)
def scratches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where agents have their folders; none is left, or the next agent removes it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield tmp_path / "tmp" / f"journal-launcher-{os.getuid()}"


def kinds(shop: Workshop) -> dict[str, list[psutil.Process]]:
    """Our living processes by what they are."""
    named: dict[str, list[psutil.Process]] = {"agent": [], "worker": []}
    for process in shop.processes():
        line = " ".join(process.cmdline())
        if "/agent.py" in line and "-c" not in line.split()[:2]:
            named["agent"].append(process)
        elif "worker/__main__.py" in line and process.name() != "sh":
            named["worker"].append(process)
    return named


def test_a_study_is_the_same_as_a_local_one(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, scratches: Path
) -> None:
    workshop.write(SEARCH)
    assert workshop.launch(n_trials=12).exit_code == 0
    local = found(workshop)
    monkeypatch.setattr(module, "LocalEngine", carried_engine.CarriedEngine)
    assert workshop.launch(n_trials=12, overwrite=True).exit_code == 0
    assert found(workshop) == local
    host = os.uname().nodename
    assert {trial.user_attrs["jl_device"] for trial in workshop.trials()} == {f"{host} · CPU"}
    assert not scratches.exists()


def model(shop: Workshop, name: str, **options: Any) -> list[bytes]:
    """What is in a table's model; the archive's own names are of the process."""
    launched = launch(
        data="sklearn:diabetes",
        model_type="linear",
        n_trials=4,
        study_name=name,
        studies_dir=str(shop.paths.folder),
        **options,
    )
    assert launched.exit_code == 0 and launched.model_path is not None
    with zipfile.ZipFile(launched.model_path) as archive:
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
        assert arrays
        return sorted(map(archive.read, arrays))


def test_a_table_gives_the_same_model(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    local = model(workshop, "one")
    monkeypatch.setattr(module, "LocalEngine", carried_engine.CarriedEngine)
    assert model(workshop, "other") == local


@pytest.mark.parametrize("victim", ["worker", "agent"])
def test_a_kill_keeps_the_budget(workshop: Workshop, victim: str, scratches: Path) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=CARRIED)
    workshop.noted("running")
    for one in kinds(workshop)[victim]:
        one.kill()
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]
    again = [trial.system_attrs for trial in workshop.trials() if trial.system_attrs]
    assert any("retry_history" in one for one in again) is (victim == "worker")
    assert not scratches.exists()


def test_a_trial_of_a_lost_worker_goes_on_from_its_checkpoint(workshop: Workshop) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3", "--max-retries", "0", first=CARRIED)
    worker = int(workshop.noted("running"))
    kill_agents(workshop)
    # Its guard ends it, a moment later: it must not hear that it may go on.
    wait_until(lambda: worker not in {one.pid for one in workshop.processes()})
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    check_it_went_on(workshop)


def kill_agents(shop: Workshop) -> None:
    """And wait for the end of their workers, whom their guards kill."""
    found = kinds(shop)
    for agent in found["agent"]:
        agent.kill()
    assert not psutil.wait_procs(found["worker"], 20)[1]


def test_the_parents_death_is_the_end_of_everything_and_the_budget_is_kept(
    workshop: Workshop,
) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=CARRIED)
    workshop.noted("running")
    process.kill()
    finish(process)
    wait_until(lambda: not workshop.processes())
    workshop.tell("go")
    ended = workshop.run("--n-trials", "3", first=CARRIED)
    assert ended.code == 0, ended.err
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]


def test_what_the_scheduler_ends_is_no_fault_of_the_trial(workshop: Workshop) -> None:
    """It signals every process of a step."""
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", "--max-retries", "0", first=CARRIED)
    workshop.noted("running")
    for one in [*kinds(workshop)["agent"], *kinds(workshop)["worker"]]:
        one.send_signal(signal.SIGTERM)
    wait_until(lambda: "FAIL" in workshop.states())
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]


def test_ctrl_c_leaves_nothing(workshop: Workshop, scratches: Path) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=CARRIED)
    workshop.noted("running")
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert sorted(workshop.states()) == ["COMPLETE", "FAIL", "WAITING"]
    assert not scratches.exists()


def test_a_node_with_other_code_ends_the_launch_before_there_is_a_study(
    workshop: Workshop, carried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(PATIENT)
    file = workshop.reference.rpartition(":")[0]
    sources = {file: {"sha256": "a", "file": file}}
    monkeypatch.setattr(carried_engine.CarriedEngine, "sources", sources)
    with pytest.raises(UsageError, match=r"expected .*my train.py as the launch has it"):
        workshop.launch()
    assert not workshop.paths.journal.exists()


def test_another_checkout_on_the_node_is_the_same_study(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workshop.write(SEARCH)
    assert workshop.launch(n_trials=3).exit_code == 0
    monkeypatch.setattr(module, "LocalEngine", carried_engine.CarriedEngine)
    there = tmp_path / "there"
    shutil.copytree(workshop.folder, there)
    places = (str(workshop.folder), str(there))
    monkeypatch.setattr(carried_engine.CarriedEngine, "places", places)
    (workshop.folder / "my train.py").write_text("raise RuntimeError('this is not the node')")
    assert workshop.launch(n_trials=6).exit_code == 0
    assert len(workshop.states()) == 6 and "FAIL" not in workshop.states()


def test_a_node_without_the_checkout_says_what_copies_it(
    workshop: Workshop, carried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(SEARCH)
    monkeypatch.setattr(carried_engine.CarriedEngine, "places", ("/here", "/not/there"))
    with pytest.raises(UsageError, match=r"--remote-dir /not/there: expected a folder like /here"):
        workshop.launch()
    assert not workshop.paths.journal.exists()


def test_a_node_with_another_version_is_told_what_to_install(
    workshop: Workshop, carried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(PATIENT)
    monkeypatch.setattr(channel, "__version__", "9.8.7")
    with pytest.raises(UsageError, match=r"-m pip install journal-launcher==9\.8\.7"):
        workshop.launch()
    assert not workshop.paths.journal.exists()


def test_a_link_that_is_to_be_saved_ends_the_launch_in_one_line(
    workshop: Workshop, carried: None
) -> None:
    link = "\ndef save_best(study, directory):\n    (directory / 'a').symlink_to('/etc/passwd')\n"
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n" + link)
    ended = workshop.launch()
    assert ended.exit_code == 1 and "expected a file or a folder to save" in str(ended.message)
    assert not workshop.paths.best_model_directory.exists()


def test_a_client_that_starts_nothing_is_said_with_its_last_words(
    workshop: Workshop, carried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(PATIENT)
    words = ("/bin/sh", "-c", "echo srun: error: no such node >&2; exit 1")
    monkeypatch.setattr(carried_engine.CarriedEngine, "client", words)
    with pytest.raises(UsageError, match="CPU: no worker started there: srun: error: no such node"):
        workshop.launch()
    assert not workshop.paths.journal.exists()


def test_who_never_got_a_place_is_told_to_leave(workshop: Workshop, tmp_path: Path) -> None:
    """As in a queue: the second client waits until it is told by SIGTERM."""
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    client = tmp_path / "client"
    client.write_text(f'#!/bin/sh\nmkdir "{tmp_path}/taken" 2>/dev/null && exec "$@"\nsleep 1000\n')
    client.chmod(0o755)
    first = f"{CARRIED}; carried_engine.CarriedEngine.client = ({str(client)!r},)"
    first += "; from journal_launcher.launcher import course; course.PLACES_WAIT = 0.1"
    ended = workshop.run("--n-trials", "2", "--workers", "2", first=first)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 2


def test_who_waits_in_a_queue_leaves_it_when_the_parent_dies(
    workshop: Workshop, tmp_path: Path
) -> None:
    """It is told by SIGTERM, which takes it out of the queue; SIGKILL would not."""
    workshop.write(PATIENT)
    client = tmp_path / "client"
    client.write_text(
        f"#!/bin/sh\ntrap 'echo left >\"{tmp_path}/left\"; exit' TERM\n"
        f'echo queued >"{tmp_path}/queued"\nwhile :; do sleep 0.05; done\n'
    )
    client.chmod(0o755)
    first = f"{CARRIED}; carried_engine.CarriedEngine.client = ({str(client)!r},)"
    process = workshop.start("--n-trials", "2", first=first)
    wait_until((tmp_path / "queued").exists)
    process.kill()
    finish(process)
    wait_until((tmp_path / "left").exists)
    wait_until(lambda: not workshop.processes())


def test_another_one_prepares_where_the_first_ones_node_is_lost(
    workshop: Workshop, tmp_path: Path
) -> None:
    """For good: no client reaches it any more."""
    client = tmp_path / "client"
    lines = [
        "#!/bin/sh",
        f'cd "{tmp_path}"',
        'mkdir a 2>/dev/null && { echo $$ >first; cd "$OLDPWD"; exec "$@"; }',
        'mkdir b 2>/dev/null && { cd "$OLDPWD"; exec "$@"; }',
        "exit 255",
    ]
    client.write_text("\n".join(lines))
    client.chmod(0o755)
    workshop.write(
        "note(f'imported by {os.getppid()}')\ntold('go')\n"
        "def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n"
    )
    first = f"{CARRIED}; carried_engine.CarriedEngine.client = ({str(client)!r},)"
    process = workshop.start("--n-trials", "2", "--workers", "2", first=first)
    wait_until(lambda: len(list(workshop.folder.glob("imported by *"))) == 2)
    os.kill(int((tmp_path / "first").read_text()), signal.SIGKILL)
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 2


HOLDER = """
import time
from journal_launcher.launcher.engines.scratch import scratch_folder, take_over
with scratch_folder() as folder:
    take_over(folder, "launch 3")
    print(folder, flush=True)
    time.sleep(1000)
"""


def test_an_agent_ends_the_one_that_its_parent_has_lost_and_no_other(scratches: Path) -> None:
    """Behind a network that was down it may have gone on, and still have the GPU."""
    command = [sys.executable, "-c", HOLDER]
    with (
        scratch.scratch_folder() as mine,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as lost,
    ):
        try:
            assert lost.stdout is not None
            theirs = Path(lost.stdout.readline().strip())
            scratch.take_over(mine, "launch 4")
            assert lost.poll() is None and theirs.exists()
            scratch.take_over(mine, "launch 3")
            assert lost.wait(10) == -signal.SIGKILL and not theirs.exists() and mine.exists()
        finally:
            lost.kill()


def test_the_folder_of_a_killed_agent_is_swept(scratches: Path) -> None:
    with scratch.scratch_folder() as living:
        (living.parent / "dead").mkdir()
        (living.parent / "dead" / "lock").touch()
        with scratch.scratch_folder() as other:
            assert sorted(scratches.iterdir()) == sorted([living, other])
        (living.parent / "dead").mkdir()
        (living.parent / "dead" / "lock").touch()
    assert not scratches.exists()  # no next agent may come
