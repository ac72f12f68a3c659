"""Launches on a real Ray cluster of two nodes, on this machine: see nodes.py."""

import importlib.metadata
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from launcher.harness import FAKES, PATIENT, ROOT, Ended, Workshop, finish, wait_until
from launcher.test_through_parent import SEARCH, found
from ray_cluster.nodes import ADDRESS, GPUS, NODES, Cluster, running_cluster

pytestmark = pytest.mark.slow
RAY = ("--engine", "ray", "--ray-address", ADDRESS)
LONG = 150  # seconds: a client needs three to twelve until it is connected
# A trial each ends only when every worker has one.
TOGETHER = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number < WORKERS:
        note(f"at {trial.number}", f"{os.environ['CUDA_VISIBLE_DEVICES']} {os.environ['LEARN']}")
        for number in range(WORKERS):
            told(f"at {number}")
    return x

def save_best(study, directory):
    (directory / "model").write_bytes(bytes(range(256)) + str(study.best_value).encode())
"""
# Each worker is in a trial until the test says go.
HELD = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    note("on " + os.environ["NODE"])
    told("go")
    return x
"""
# What its folder holds is what is published, whichever node the trial ran on.
CHECKPOINT = """
from journal_launcher import trial_dir

def objective(trial):
    node = os.environ["NODE"]
    (trial_dir() / "kept").write_text(f"{node} {trial.number}")
    note("on " + node)
    told("on n1"); told("on n2")
    return trial.number if node == "n2" else 1000

def save_best(study, directory):
    (directory / "saved").write_text((trial_dir() / "kept").read_text())
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


def told(ended: Ended) -> list[str]:
    """Its lines behind the first one, which says whom it asks."""
    first, *lines = ended.err.splitlines()
    assert first.endswith("asking the nodes of the cluster what they have")
    return lines


@pytest.fixture
def ray(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, on which nothing is left at the end."""
    with cluster.network():
        yield cluster
        cluster.check_nothing_is_left()


def run(shop: Workshop, *options: str, **more: object) -> Ended:
    return finish(shop.start(*options, **more), LONG)  # type: ignore[arg-type]


def placed_on(shop: Workshop) -> set[str]:
    return {trial.user_attrs["jl_device"].partition(" · ")[0] for trial in shop.trials()}


def check_budget(shop: Workshop, ended: Ended, n_trials: int) -> None:
    assert ended.code == 0, ended.err
    states = shop.states()
    assert states.count("COMPLETE") == n_trials and set(states) <= {"COMPLETE", "FAIL"}


def test_each_gpu_of_the_cluster_has_one_worker(workshop: Workshop, ray: Cluster) -> None:
    workshop.write(TOGETHER, WORKERS=4)
    more = {"environment": {"LEARN": "as here"}}
    ended = run(workshop, "--n-trials", "6", *RAY, "--gpus", "auto", **more)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 6
    placed = {
        (trial.user_attrs["jl_device"], trial.user_attrs["jl_device_uuid"])
        for trial in workshop.trials()[:4]
    }
    assert placed == {
        (f"{node} · GPU {n} NVIDIA H100", GPUS[n]["uuid"]) for node in NODES for n in (0, 1)
    }
    seen = sorted(workshop.noted(f"at {number}") for number in range(4))
    assert seen == sorted(f"{uuid} as here" for _, uuid in placed)
    saved = (workshop.paths.best_model_directory / "model").read_bytes()
    best = min(trial.value for trial in workshop.trials() if trial.value is not None)
    assert saved == bytes(range(256)) + str(best).encode()


def test_a_study_of_one_worker_is_the_same_as_a_local_one(workshop: Workshop, ray: Cluster) -> None:
    workshop.write(SEARCH)
    assert run(workshop, "--n-trials", "12").code == 0
    local = found(workshop)
    ended = run(workshop, "--n-trials", "12", "--overwrite", *RAY, "--workers", "1")
    assert ended.code == 0, ended.err
    assert found(workshop) == local
    assert placed_on(workshop) < set(NODES)


def test_a_killed_worker_agent_actor_and_client_keep_the_budget(
    workshop: Workshop, ray: Cluster
) -> None:
    workshop.write(HELD)
    process = workshop.start("--n-trials", "5", "--max-retries", "1", *RAY)
    for node in NODES:
        wait_until((workshop.folder / f"on {node}").exists, LONG)
    wait_until(lambda: workshop.states() == ["RUNNING"] * 2)
    first = psutil.Process(workshop.owner_pid(0))
    second = psutil.Process(workshop.owner_pid(1))
    agent = second.parent()
    assert agent is not None
    first.kill()
    agent.kill()
    killed = 2
    for victims in (lambda: ray.actors("n1"), ray.clients):
        wait_until(lambda: workshop.states().count("FAIL") == killed, LONG)  # noqa: B023
        wait_until(lambda: workshop.states().count("RUNNING") == 2, LONG)
        victims()[0].kill()
        killed += 1
    wait_until(lambda: workshop.states().count("FAIL") == 4, LONG)
    assert not second.is_running()
    workshop.tell("go")
    check_budget(workshop, finish(process, LONG), 5)
    retries = [trial.system_attrs.get("retry_history", []) for trial in workshop.trials()]
    assert max(map(len, retries)) == 1  # of the dead worker's trial; the others cost none


def test_ctrl_c_and_the_parents_death_leave_nothing_and_the_same_command_goes_on(
    workshop: Workshop, ray: Cluster
) -> None:
    workshop.write(PATIENT)
    options = ("--n-trials", "3", *RAY, "--workers", "1")
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = workshop.start(*options)
        wait_until((workshop.folder / "running").exists, LONG)
        (workshop.folder / "running").unlink()
        process.send_signal(number)
        assert finish(process).code == code
        wait_until(lambda: not workshop.processes())
    workshop.tell("go")
    check_budget(workshop, run(workshop, *options), 3)


def test_a_node_that_dies_costs_no_retry_and_the_other_one_goes_on(
    workshop: Workshop, ray: Cluster
) -> None:
    workshop.write(HELD)
    options = ("--n-trials", "4", "--max-retries", "0", "--workers", "2")
    process = workshop.start(*options, *RAY)
    try:
        for node in NODES:
            wait_until((workshop.folder / f"on {node}").exists, LONG)
        ray.fail("n2")
        wait_until(lambda: "FAIL" in workshop.states(), LONG)
        workshop.tell("go")
        check_budget(workshop, finish(process, LONG), 4)
        assert placed_on(workshop) == set(NODES)
    finally:
        ray.begin("n2")


def test_nodes_need_not_see_the_studies_folder(workshop: Workshop, ray: Cluster) -> None:
    workshop.paths.folder.mkdir()
    workshop.write(CHECKPOINT)
    with ray.hidden(workshop.paths.folder, "n2"):
        ended = run(workshop, "--n-trials", "4", *RAY)
    assert ended.code == 0, ended.err
    published = workshop.paths.best_model_directory
    best = f"n2 {workshop.study().best_trial.number}"
    assert {path.name: path.read_text() for path in published.iterdir()} == {
        "kept": best,
        "saved": best,
    }
    assert not workshop.paths.trials.exists()


def test_code_that_differs_there_is_named_before_there_is_a_study(
    workshop: Workshop, ray: Cluster
) -> None:
    workshop.write("from helper import low\n\ndef objective(trial):\n    return low(trial)\n")
    helper = workshop.folder / "helper.py"
    helper.write_text("def low(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    there = workshop.folder / "there"
    there.mkdir()
    shutil.copy(workshop.folder / "my train.py", there)
    ended = run(workshop, *RAY, "--remote-dir", str(there))
    assert ended.code == 2 and len(told(ended)) == 1
    assert "--engine ray: n1: expected helper.py as the launch has it" in ended.err
    assert f"rsync -aR helper.py 'n1:{there}/'" in ended.err
    assert not workshop.paths.directory.exists()


# What a client's Python runs first.
OTHER_VERSION = """
import sys
if any("ray_client" in part for part in sys.orig_argv):
    import ray
    ray.__version__ = "1.2.3"
"""


def test_another_version_and_no_cluster_are_one_line(
    workshop: Workshop, ray: Cluster, tmp_path: Path
) -> None:
    workshop.write(PATIENT)
    ended = run(workshop, "--engine", "ray", "--ray-address", "10.99.0.1:9")
    assert ended.code == 2 and len(told(ended)) == 1
    assert "expected a Ray cluster at 10.99.0.1:9, found Connection refused" in ended.err
    (tmp_path / "sitecustomize.py").write_text(OTHER_VERSION)
    python_path = os.pathsep.join(map(str, (tmp_path, FAKES, ROOT)))
    ended = run(workshop, *RAY, environment={"PYTHONPATH": python_path})
    assert ended.code == 2 and len(told(ended)) == 1
    ours = importlib.metadata.version("ray")
    assert f"expected Ray {ours} with Python" in ended.err and "found Ray 1.2.3" in ended.err
    assert f"pip install ray=={ours}" in ended.err
    assert not workshop.paths.directory.exists()


def test_a_worker_goes_home_to_a_node_that_joins_again(workshop: Workshop, ray: Cluster) -> None:
    """Under another ID; meanwhile its actor waits for GPUs of the other node, which has none."""
    workshop.write(HELD)
    options = ("--n-trials", "2", "--max-retries", "0", "--gpus", "all", "--gpus-per-worker", "2")
    process = workshop.start(*options[:4], *RAY, *options[4:])
    for node in NODES:
        wait_until((workshop.folder / f"on {node}").exists, LONG)
    ray.fail("n2")
    try:
        (workshop.folder / "on n2").unlink()
        wait_until(lambda: workshop.states().count("FAIL") == 1, LONG)
    finally:
        ray.begin("n2")
    wait_until((workshop.folder / "on n2").exists, LONG)
    workshop.tell("go")
    check_budget(workshop, finish(process, LONG), 2)
    assert placed_on(workshop) == set(NODES)
