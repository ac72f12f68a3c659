"""Launches on two hosts behind a real sshd, on this machine: see server.py."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from launcher.harness import PATIENT, Ended, Workshop, finish, wait_until
from ssh.server import HOSTS, Server, gpus_of, reachable, running_server

from journal_launcher.devices.claims import Claims

BOTH = ("--hosts", "node-a,node-b")
# A trial each ends only when every worker has one.
TOGETHER = """
from journal_launcher.devices.claims import claimant_of

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number < WORKERS:
        gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        claimed = claimant_of(gpu) == f"pid {os.getppid()}"
        note(f"at {trial.number}", f"{gpu} {claimed} {os.environ['LEARN']}")
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
    note("on " + os.environ["TEST_NAME"], os.getpid())
    told("go")
    return x
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as made:
        yield made


def told(ended: Ended) -> list[str]:
    """Its lines behind the first one, which says whom it asks."""
    first, *lines = ended.err.splitlines()
    assert first.endswith("asking the hosts what they have")
    return lines


@pytest.fixture
def hosts(
    server: Server, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The environment of a user who can reach both; node-a has two GPUs, node-b three, of which one
    is busy and another launch has one."""
    (workshop.folder / "libcuda.so.1").write_text("no library: a driver would miss these GPUs")
    given = {}
    claims = Claims()
    for host in HOSTS:
        gpus = gpus_of(host, 2 + (host == "node-b"))
        if host == "node-b":
            gpus[0]["compute"] = [[os.getpid(), 2**33]]
            with monkeypatch.context() as there:
                there.setenv("XDG_RUNTIME_DIR", str(tmp_path / host / "run"))
                claims.take(gpus[1]["uuid"])
        given[host] = {
            "XDG_RUNTIME_DIR": str(tmp_path / host / "run"),
            "LD_LIBRARY_PATH": str(workshop.folder),
            "FAKE_NVML": json.dumps({"gpus": gpus}),
        }
    with claims, reachable(server, tmp_path, given) as environment:
        yield environment


def client_of(process: "subprocess.Popen[str]", worker: psutil.Process) -> psutil.Process:
    """The launch's ssh whose connection leads to a worker."""
    port = int(worker.environ()["SSH_CLIENT"].split()[1])
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.name() == "ssh" and any(c.laddr.port == port for c in child.net_connections()):
            return child
    raise AssertionError(f"no client at port {port}")


def placed_on(shop: Workshop) -> set[str]:
    return {trial.user_attrs["jl_device"].partition(" · ")[0] for trial in shop.trials()}


def check_budget(shop: Workshop, ended: Ended, n_trials: int) -> None:
    assert ended.code == 0, ended.err
    states = shop.states()
    assert states.count("COMPLETE") == n_trials and set(states) <= {"COMPLETE", "FAIL"}


def test_each_free_gpu_of_the_hosts_has_one_worker(
    workshop: Workshop, hosts: dict[str, str]
) -> None:
    workshop.write(TOGETHER, WORKERS=3)
    environment = {**hosts, "LEARN": "as here"}
    ended = workshop.run("--n-trials", "6", *BOTH, "--gpus", "auto", environment=environment)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 6
    placed = {
        (trial.user_attrs["jl_device"], trial.user_attrs["jl_device_uuid"])
        for trial in workshop.trials()[:3]
    }
    a, b = (gpus_of(host, 3) for host in HOSTS)
    assert placed == {
        ("node-a · GPU 0 NVIDIA H100", a[0]["uuid"]),
        ("node-a · GPU 1 NVIDIA H100", a[1]["uuid"]),
        ("node-b · GPU 2 NVIDIA H100", b[2]["uuid"]),
    }
    seen = {workshop.noted(f"at {number}") for number in range(3)}
    assert seen == {f"{uuid} True as here" for _, uuid in placed}
    assert "node-b: GPU 0 NVIDIA H100: others hold 8.0 of 80.0 GiB" in ended.err
    assert f"node-b: GPU 1 NVIDIA H100: another launch (pid {os.getpid()}) has it" in ended.err
    saved = (workshop.paths.best_model_directory / "model").read_bytes()
    best = min(trial.value for trial in workshop.trials() if trial.value is not None)
    assert saved == bytes(range(256)) + str(best).encode()


def test_a_killed_worker_agent_and_client_keep_the_budget(
    workshop: Workshop, hosts: dict[str, str]
) -> None:
    workshop.write(HELD)
    options = ("--n-trials", "7", "--hosts", "node-a:2,node-b", "--max-retries", "1")
    process = workshop.start(*options, environment=hosts)
    for host in HOSTS:
        workshop.noted(f"on {host}")
    wait_until(lambda: workshop.states() == ["RUNNING"] * 3)
    # Of the agents of one host another one must live, to sweep what a killed one leaves there.
    places = [trial.user_attrs["jl_device"] for trial in workshop.trials()]
    numbers = sorted(range(3), key=places.__getitem__, reverse=True)
    worker, other, third = (psutil.Process(workshop.owner_pid(number)) for number in numbers)
    worker.kill()
    agent = other.parent()
    assert agent is not None
    agent.kill()
    wait_until(lambda: workshop.states().count("FAIL") == 2)
    assert third.is_running()
    served = client_of(process, third)
    served.kill()
    wait_until(lambda: workshop.states().count("FAIL") == 3)
    workshop.tell("go")
    check_budget(workshop, finish(process), 7)
    assert placed_on(workshop) == set(HOSTS)
    again = [trial.system_attrs for trial in workshop.trials() if trial.system_attrs]
    assert len(again) == 3 and sum("retry_history" in one for one in again) == 1


def test_ctrl_c_and_the_parents_death_leave_nothing_and_the_same_command_goes_on(
    workshop: Workshop, hosts: dict[str, str]
) -> None:
    workshop.write(PATIENT)
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = workshop.start("--n-trials", "4", *BOTH, environment=hosts)
        workshop.noted("running")
        (workshop.folder / "running").unlink()
        process.send_signal(number)
        assert finish(process).code == code
        wait_until(lambda: not workshop.processes())
    workshop.tell("go")
    check_budget(workshop, workshop.run("--n-trials", "4", *BOTH, environment=hosts), 4)


def test_the_code_may_lie_elsewhere_there_and_what_differs_is_named(
    workshop: Workshop, hosts: dict[str, str]
) -> None:
    workshop.write("from helper import low\n\ndef objective(trial):\n    return low(trial)\n")
    helper = workshop.folder / "helper.py"
    helper.write_text("def low(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    there = workshop.folder / "there"
    there.mkdir()
    for file in ("helper.py", "my train.py"):
        shutil.copy(workshop.folder / file, there)
    options = ("--n-trials", "2", "--hosts", "root@node-a", "--remote-dir", str(there))
    ended = workshop.run(*options, environment=hosts)
    assert ended.code == 0, ended.err
    (there / "helper.py").write_text(helper.read_text() + "\n")
    ended = workshop.run(*options, "--n-trials", "3", environment=hosts)
    assert ended.code == 2 and len(told(ended)) == 1
    assert "--hosts: node-a: expected helper.py as the launch has it" in ended.err
    assert f"rsync -aR helper.py 'root@node-a:{there}/'" in ended.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "denied",
            "Permission denied (publickey); this must log in without a question: ssh denied; "
            "or leave denied out of --hosts",
        ),
        ("a.invalid", "Could not resolve hostname a.invalid"),
    ],
)
def test_a_host_that_lets_nobody_in_is_one_line_before_there_is_a_study(
    workshop: Workshop, hosts: dict[str, str], name: str, said: str
) -> None:
    workshop.write(PATIENT)
    ended = workshop.run("--hosts", f"node-a,{name}", environment=hosts)
    assert ended.code == 2 and said in ended.err
    (line,) = told(ended)
    assert line.startswith(f"error: --hosts: {name}: ")
    assert not workshop.paths.directory.exists()


# What its folder holds is what is published, whichever host the trial ran on.
CHECKPOINT = """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    (trial_dir() / "kept").write_text(str(x))
    note("where", trial_dir())
    return x

def save_best(study, directory):
    (directory / "saved").write_text((trial_dir() / "kept").read_text())
"""


def test_hosts_need_not_see_the_studies_folder(workshop: Workshop, tmp_path: Path) -> None:
    workshop.paths.folder.mkdir()
    workshop.write(CHECKPOINT)
    with running_server(hidden=workshop.paths.folder) as blind:
        hosts = blind.client(tmp_path / "bin", {host: {} for host in HOSTS})
        for n_trials in (8, 16):
            ended = workshop.run("--n-trials", str(n_trials), *BOTH, environment=hosts)
            assert ended.code == 0, ended.err
            best = workshop.paths.best_model_directory
            (x,) = {(best / name).read_text() for name in ("kept", "saved")}
            assert float(x) == workshop.study().best_value
    assert placed_on(workshop) == set(HOSTS)
    assert str(workshop.paths.folder) not in workshop.noted("where")


def session_of(pid: int) -> psutil.Process:
    """The sshd that serves what a process there is part of."""
    found = psutil.Process(pid)
    while found.name() != "sshd":
        found = found.parent() or pytest.fail("no sshd")
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def started_on(shop: Workshop, host: str) -> int:
    """The pid of the worker there that has begun a trial since the last look."""
    pid = int(shop.noted(f"on {host}"))
    (shop.folder / f"on {host}").unlink()
    return pid


@pytest.mark.slow
def test_a_frozen_connection_is_given_up_and_its_worker_writes_nothing_more(
    workshop: Workshop, hosts: dict[str, str], server: Server
) -> None:
    workshop.write(HELD)
    process = workshop.start("--n-trials", "4", "--max-retries", "0", *BOTH, environment=hosts)
    started_on(workshop, "node-b")
    first = started_on(workshop, "node-a")
    with server.deaf():  # so that no other worker comes
        session = session_of(first)
        session.suspend()
        took = wait_until(lambda: "WAITING" in workshop.states(), 60)
        assert took > 5 and is_alive(first)
        records = workshop.records()
        session.resume()
        wait_until(lambda: not is_alive(first))
        assert workshop.records() == records
    second = started_on(workshop, "node-a")
    session = session_of(second)
    session.suspend()
    wait_until(lambda: workshop.states().count("FAIL") == 2, 60)
    assert started_on(workshop, "node-a") != second
    assert not is_alive(second)  # ended by the one that took its place
    session.resume()
    workshop.tell("go")
    check_budget(workshop, finish(process), 4)


LEAVES_A_PROCESS = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if not (HERE / "left").exists():
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        note("left", child.pid)
        os.kill(os.getpid(), signal.SIGKILL)
    return x
"""


def test_a_process_that_a_dead_worker_leaves_holds_nobody_up(
    workshop: Workshop, hosts: dict[str, str]
) -> None:
    """It has the output of the worker, and ssh waits for the end of that."""
    workshop.write(LEAVES_A_PROCESS)
    process = workshop.start("--n-trials", "2", "--hosts", "node-a", environment=hosts)
    left = psutil.Process(int(workshop.noted("left")))
    try:
        check_budget(workshop, finish(process, 60), 2)
        assert left.is_running()
    finally:
        left.kill()
