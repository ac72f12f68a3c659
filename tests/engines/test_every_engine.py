"""What holds wherever the workers run: the same study, and an exact one whatever is killed.

After every test no process, scratch folder or job step is left: the sites and the workshop look.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from engines.sites import SITES, Site
from launcher.harness import Ended, Workshop, finish, wait_until
from launcher.test_through_parent import SEARCH, found
from ray_cluster import nodes
from slurm.cluster import Cluster, running_cluster
from ssh.server import Server, running_server

from journal_launcher.study import owner

pytestmark = pytest.mark.slow
PATIENCE = 150  # seconds for a launch: the machine may be busy
ELSEWHERE = [name for name in SITES if name != "local"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as made:
        yield made


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[nodes.Cluster]:
    with nodes.running_cluster() as made:
        yield made


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, workshop: Workshop, tmp_path: Path) -> Iterator[Site]:
    with SITES[request.param](request, tmp_path) as made:
        yield made


def run_to_its_end(shop: Workshop, *options: str, site: Site) -> Ended:
    return finish(shop.start(*options, environment=site.environment), PATIENCE)


def check_exact(shop: Workshop, ended: Ended, n_trials: int) -> None:
    assert ended.code == 0, ended.err
    states = shop.states()
    assert states.count("COMPLETE") == n_trials and set(states) <= {"COMPLETE", "FAIL"}, states


def placed(shop: Workshop) -> set[str]:
    """The hosts that trials name."""
    return {trial.user_attrs["jl_device"].partition(" · ")[0] for trial in shop.trials()}


# --- the same study

# Its first two trials wait for each other, so that both workers have some.
WITHOUT_PRUNING = (
    SEARCH.replace("trial.should_prune()", "False")
    + """
search = objective

def objective(trial):
    if os.environ.get("TOGETHER") and trial.number < 2:
        note(f"in {trial.number}")
        told(f"in {1 - trial.number}")
    return search(trial)
"""
)


@pytest.mark.parametrize("site", ELSEWHERE, indirect=True)
def test_one_worker_finds_what_a_local_one_finds(workshop: Workshop, site: Site) -> None:
    workshop.write(SEARCH)
    options = ("--n-trials", "12", "--seed", "3")
    assert workshop.run(*options).code == 0
    local = found(workshop)
    ended = run_to_its_end(workshop, *options, "--overwrite", *site.one, site=site)
    assert ended.code == 0, ended.err
    assert found(workshop) == local
    assert placed(workshop) < site.hosts


def test_several_workers_draw_at_random_what_one_draws(workshop: Workshop, site: Site) -> None:
    """And find the same best trial, whose files are the same."""
    workshop.write(WITHOUT_PRUNING)
    options = ("--n-trials", "12", "--seed", "3", "--sampler", "random")
    assert workshop.run(*options).code == 0
    one = found(workshop)
    together = {**site.environment, "TOGETHER": "yes"}
    process = workshop.start(*options, "--overwrite", *site.two, environment=together)
    ended = finish(process, PATIENCE)
    assert ended.code == 0, ended.err
    assert found(workshop) == one
    workers = {trial.user_attrs["jl_owner"]["worker"] for trial in workshop.trials()}
    assert workers == {0, 1}


@pytest.mark.parametrize("site", ELSEWHERE, indirect=True)
def test_a_comparison_finds_what_a_local_one_finds(workshop: Workshop, site: Site) -> None:
    """Its model types are tried here, on the CPU; their trials run there."""
    types = ("--compare-models", "--model-types", "linear,hist_gradient_boosting")
    options = ("--data", "sklearn:diabetes", *types, "--n-trials", "2", "--seed", "3")
    assert finish(workshop.start(*options, table=True), PATIENCE).code == 0
    local = scores(workshop)
    there = (*options, "--overwrite", *site.one)
    process = workshop.start(*there, table=True, environment=site.environment)
    ended = finish(process, PATIENCE)
    assert ended.code == 0, ended.err
    assert scores(workshop) == local and len(local) == 3
    places = re.findall(r" s on (\S+) · CPU", ended.err)
    assert len(places) == 4 and set(places) < site.hosts


def scores(shop: Workshop) -> list[object]:
    """The winner, and what the comparison has found of each model type."""
    told = shop.sidecar()["comparison"]
    models = [(one["model_type"], one["score"], one["fold_scores"]) for one in told["models"]]
    return [told["winner"], *models]


# --- kills

# Both workers are in a trial until the test says go.
HELD = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    note(f"in {trial.number}")
    told("go")
    return x

def save_best(study, directory):
    (directory / "model").write_text(str(study.best_value))
"""


def both_run(shop: Workshop) -> bool:
    with contextlib.suppress(KeyError):  # the journal has no study yet
        return shop.paths.journal.exists() and shop.states().count("RUNNING") == 2
    return False


def worker_of(shop: Workshop) -> psutil.Process:
    """A worker that runs a trial."""
    return psutil.Process(shop.owner_pid(shop.states().index("RUNNING")))


def kill_worker(shop: Workshop, site: Site, process: "subprocess.Popen[str]") -> None:
    worker_of(shop).kill()


def kill_agent(shop: Workshop, site: Site, process: "subprocess.Popen[str]") -> None:
    agent = worker_of(shop).parent()
    assert agent is not None and any("agent.py" in word for word in agent.cmdline())
    agent.kill()


def kill_client(shop: Workshop, site: Site, process: "subprocess.Popen[str]") -> None:
    assert site.client is not None
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.name() != "sh" and any(word.endswith(site.client) for word in child.cmdline()[:3]):
            child.kill()
            return
    raise AssertionError(f"no {site.client}")


def kill_host(shop: Workshop, site: Site, process: "subprocess.Popen[str]") -> None:
    """All at once that serves a worker there. A node of Slurm has a test of its own."""
    worker = worker_of(shop)
    session = [
        one for one in worker.parents() if one.name() == "sshd" and "-D" not in one.cmdline()
    ]
    agent = worker.parent()
    assert session and agent is not None
    for one in (*reversed(session), agent, worker):
        one.kill()


KILLS: dict[str, Callable[[Workshop, Site, "subprocess.Popen[str]"], None]] = {
    "worker": kill_worker,
    "agent": kill_agent,
    "client": kill_client,
    "host": kill_host,
}


@pytest.mark.parametrize(
    ("site", "victim"),
    [
        ("local", "worker"),
        ("ssh", "host"),
        *((name, victim) for name in ELSEWHERE for victim in ("worker", "agent", "client")),
    ],
    indirect=["site"],
)
def test_a_kill_keeps_the_budget(workshop: Workshop, site: Site, victim: str) -> None:
    """Only of a worker it costs a retry; another one is there before the trials go on."""
    workshop.write(HELD)
    options = ("--n-trials", "5", "--max-retries", str(int(victim == "worker")), *site.two)
    process = workshop.start(*options, environment=site.environment)
    wait_until(lambda: both_run(workshop), PATIENCE)
    KILLS[victim](workshop, site, process)
    wait_until(lambda: "FAIL" in workshop.states() and both_run(workshop), PATIENCE)
    workshop.tell("go")
    check_exact(workshop, finish(process, PATIENCE), 5)
    assert workshop.states().count("FAIL") == 1
    assert placed(workshop) == (site.hosts or {"CPU"})


@pytest.mark.parametrize("victim", ["parent", "everything"])
def test_a_resume_from_another_host_is_exact(workshop: Workshop, site: Site, victim: str) -> None:
    """What the killed ones ran is free again although nobody can ask that host for them.

    Of a worker that wrote the journal itself this is not so: it may live on there.
    """
    workshop.write(HELD)
    options = ("--n-trials", "4", *site.two)
    process = workshop.start(*options, environment=site.environment)
    wait_until(lambda: both_run(workshop), PATIENCE)
    victims = [psutil.Process(process.pid)]
    victims += workshop.processes() if victim == "everything" else []
    for one in victims:
        with contextlib.suppress(psutil.NoSuchProcess):  # the end of one may be another's
            one.kill()
    finish(process)
    wait_until(lambda: not workshop.processes())
    assert both_run(workshop)
    if site.client is not None:
        move_to_another_host(workshop, site)
    workshop.tell("go")
    ended = run_to_its_end(workshop, *options, site=site)
    check_exact(workshop, ended, 4)
    assert workshop.states().count("FAIL") == 2


def move_to_another_host(shop: Workshop, site: Site) -> None:
    """Let the journal say that its owners ran on one, in another boot of it."""
    lines = shop.paths.journal.read_text()
    names = {os.uname().nodename, *site.hosts}  # a node of Ray has its own
    moved = re.sub(rf'"host": ?"({"|".join(map(re.escape, names))})"', '"host":"n17"', lines)
    assert moved != lines and json.dumps(owner._boot()) in lines
    shop.paths.journal.write_text(moved.replace(json.dumps(owner._boot()), '"another"'))


def test_ctrl_c_leaves_nothing_and_the_same_command_goes_on(workshop: Workshop, site: Site) -> None:
    workshop.write(HELD)
    options = ("--n-trials", "4", *site.two)
    process = workshop.start(*options, environment=site.environment)
    wait_until(lambda: both_run(workshop), PATIENCE)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert sorted(workshop.states()) == ["FAIL"] * 2 + ["WAITING"] * 2
    wait_until(lambda: not workshop.processes())
    workshop.tell("go")
    check_exact(workshop, run_to_its_end(workshop, *options, site=site), 4)


# --- a full disk

FILLING = """
def objective(trial):
    trial.set_user_attr("large", "x" * 2000)
    return float(trial.number)
"""
MAY_MOUNT = ("unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt")


@pytest.mark.skipif(
    subprocess.run(MAY_MOUNT, capture_output=True).returncode != 0,
    reason="needs the right to mount in a private mount namespace",
)
def test_a_full_disk_at_the_parent_is_resumable(workshop: Workshop, site: Site) -> None:
    """A real one, seen by the parent, by no node, and by workers that are its children."""
    workshop.write(FILLING)
    full = workshop.folder / "full"
    full.mkdir()
    keep = workshop.folder / "kept.log"
    mount = f'mount -t tmpfs -o size=64k none "{full}" && "$@"; code=$?'
    script = f'{mount}; cp "{full}/study.log" "{keep}"; exit $code'
    process = workshop.start(
        *("--n-trials", "100", "--studies-dir", str(full), *site.two),
        prefix=("unshare", "--mount", "sh", "-c", script, "sh"),
        environment=site.environment,
    )
    ended = finish(process, PATIENCE)
    assert ended.code == 75, ended.err
    assert "make room and type the same command again" in ended.err
    assert "Traceback" not in ended.err
    workshop.paths.folder.mkdir()
    keep.rename(workshop.paths.journal)
    said = {int(number) for number in re.findall(r"trial (\d+): [\d.]+ after", ended.err)}
    kept = {trial.number for trial in workshop.trials() if trial.state.name == "COMPLETE"}
    # Of the last trial of each worker nobody may have said yet that it is there.
    assert len(said) > 5 and said <= kept and len(kept - said) <= 2
    n_trials = len(kept) + 2
    again = run_to_its_end(workshop, "--n-trials", str(n_trials), *site.two, site=site)
    check_exact(workshop, again, n_trials)
    assert {trial.number for trial in workshop.trials() if trial.value == trial.number} >= kept
