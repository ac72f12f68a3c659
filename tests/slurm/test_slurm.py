"""Launches in allocations of a real Slurm of two nodes, on this machine: see cluster.py."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from launcher.harness import PATIENT, ROOT, Workshop, finish, wait_until
from launcher.scripts import ScriptShop
from slurm.cluster import Cluster, allocation, running_cluster, steps

GPUS = [
    {"uuid": f"GPU-{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-000000000000", "name": "NVIDIA H100"}
    for n in (0, 1)
]
GPU = ("--engine", "slurm", "--gpus", "all")
CPU = ("--engine", "slurm", "--gpus", "none")
# A trial each ends only when every worker has one.
TOGETHER = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number < WORKERS:
        note(f"at {trial.number}")
        for number in range(WORKERS):
            told(f"at {number}")
    return x

def save_best(study, directory):
    (directory / "model").write_text(str(study.best_value))
"""


# Both workers are in a trial until the test says go.
BOTH = """
def objective(trial):
    note("on " + os.environ["SLURMD_NODENAME"])
    told("go")
    return trial.suggest_float("x", 0, 1)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture
def job(
    cluster: Cluster, workshop: Workshop, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[dict[str, str]]:
    """The environment of an allocation of both nodes, of two fake GPUs each."""
    options = getattr(request, "param", ("--gpus-per-node=2", "--ntasks-per-node=2"))
    (workshop.folder / "libcuda.so.1").write_text("no library: a driver would miss these GPUs")
    with allocation(cluster, tmp_path / "tmp", *options) as found:
        gpus = {"FAKE_NVML": json.dumps({"gpus": GPUS}), "LD_LIBRARY_PATH": str(workshop.folder)}
        yield {**found, **gpus}


def clients(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Its living sruns."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if child.name() == "srun"]


def leader(of: list[psutil.Process]) -> psutil.Process:
    return min(of, key=lambda child: child.pid)


def test_each_gpu_of_the_job_has_one_worker(workshop: Workshop, job: dict[str, str]) -> None:
    workshop.write(TOGETHER, WORKERS=4)
    ended = workshop.run("--n-trials", "6", *GPU, environment=job)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 6
    placed = {
        (trial.user_attrs["jl_device"], trial.user_attrs["jl_device_uuid"])
        for trial in workshop.trials()[:4]
    }
    hosts = ("n1", "n2")
    assert placed == {
        (f"{host} · GPU {n} NVIDIA H100", GPUS[n]["uuid"]) for host in hosts for n in (0, 1)
    }
    saved = (workshop.paths.best_model_directory / "model").read_text()
    assert float(saved) == min(trial.value for trial in workshop.trials())


@pytest.mark.parametrize("job", [("--ntasks-per-node=2",)], indirect=True)
def test_a_node_that_does_not_see_the_studies_folder_gives_the_same_model(
    workshop: Workshop, cluster: Cluster, job: dict[str, str]
) -> None:
    """Its two workers are sent the table's arrays, once; those of the other node none."""
    table = ("--data", "sklearn:diabetes", "--model-type", "linear", "--n-trials", "6")
    workshop.paths.folder.mkdir()

    def model() -> bytes:
        return next(workshop.paths.directory.glob("best_model.skops")).read_bytes()

    assert workshop.run(*table, table=True).code == 0
    local = model()
    with cluster.hidden(workshop.paths.folder, "n2"):
        options = (*table, *CPU, "--overwrite")
        ended = workshop.run(*options, table=True, environment=job)
    assert ended.code == 0, ended.err
    logs = [path.read_text() for path in workshop.paths.workers.glob("*.log")]
    assert sum(log.count("fetching the table's arrays") for log in logs) == 1
    assert content(model()) == content(local)
    hosts = {trial.user_attrs["jl_device"].split(" ")[0] for trial in workshop.trials()}
    assert hosts == {"n1", "n2"}


@pytest.mark.parametrize("job", [("--ntasks-per-node=1",)], indirect=True)
def test_the_best_trials_folder_comes_back_from_such_a_node(
    workshop: Workshop, cluster: Cluster, job: dict[str, str]
) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    trial.suggest_float("x", 0, 1)
    node = os.environ["SLURMD_NODENAME"]
    (trial_dir() / "node").write_text(f"{node} {trial.number}")
    note("on " + node)
    told("on n1"); told("on n2")
    return trial.number if node == "n2" else 1000

def save_best(study, directory):
    (directory / "saved").write_text((trial_dir() / "node").read_text())
"""
    )
    workshop.paths.folder.mkdir()
    with cluster.hidden(workshop.paths.folder, "n2"):
        ended = workshop.run("--n-trials", "4", *CPU, environment=job)
    assert ended.code == 0, ended.err
    best = f"n2 {workshop.study().best_trial.number}"
    published = workshop.paths.best_model_directory
    assert {path.name: path.read_text() for path in published.iterdir()} == {
        "node": best,
        "saved": best,
    }
    assert not workshop.paths.trials.exists()


def content(model: bytes) -> list[bytes]:
    """What is in the archive, whose names are of the process."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return sorted(archive.read(name) for name in archive.namelist() if name.endswith(".npy"))


def test_a_killed_step_and_a_killed_worker_keep_the_budget(
    workshop: Workshop, job: dict[str, str]
) -> None:
    workshop.write(PATIENT)
    options = (*CPU, "--workers", "2", "--max-retries", "1")
    process = workshop.start("--n-trials", "5", *options, environment=job)
    pid, _ = map(int, workshop.noted("running").split())
    os.kill(pid, signal.SIGKILL)
    leader(clients(process)).kill()
    workshop.tell("go")
    ended = finish(process, 90)
    assert ended.code == 0, ended.err
    states = workshop.states()
    assert states.count("COMPLETE") == 5 and set(states) == {"COMPLETE", "FAIL"}


def test_ctrl_c_leaves_no_step_and_the_parents_death_none_either(
    workshop: Workshop, cluster: Cluster, job: dict[str, str]
) -> None:
    workshop.write(PATIENT)
    options = (*CPU, "--workers", "1")
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = workshop.start("--n-trials", "3", *options, environment=job)
        workshop.noted("running")
        (workshop.folder / "running").unlink()
        process.send_signal(number)
        assert finish(process).code == code
        wait_until(lambda: steps(cluster, job["SLURM_JOB_ID"]) == "")
    workshop.tell("go")
    ended = workshop.run("--n-trials", "3", *options, environment=job)
    assert ended.code == 0, ended.err
    assert workshop.states().count("COMPLETE") == 3
    assert set(workshop.states()) == {"COMPLETE", "FAIL"}


@pytest.mark.slow
@pytest.mark.parametrize("job", [("--no-kill", "--ntasks-per-node=1")], indirect=True)
def test_a_node_that_fails_costs_no_retry_and_the_other_one_goes_on(
    workshop: Workshop, cluster: Cluster, job: dict[str, str]
) -> None:
    """Its srun ends with 0 when Slurm gives the node up."""
    workshop.write(BOTH)
    options = ("--n-trials", "6", "--max-retries", "0")
    process = workshop.start(*options, *CPU, environment=job)
    for name in ("n1", "n2"):
        workshop.noted(f"on {name}")
    cluster.fail("n2")
    wait_until(lambda: "FAIL" in workshop.states(), 120)
    workshop.tell("go")
    ended = finish(process, 120)
    assert ended.code == 0, ended.err
    assert workshop.states().count("COMPLETE") == 6
    assert set(workshop.states()) == {"COMPLETE", "FAIL"}
    shutil.rmtree(job["TMPDIR"])  # nobody sweeps there before the next agent of that node
    Path(job["TMPDIR"]).mkdir()
    cluster.repair("n2")


@pytest.mark.slow
@pytest.mark.parametrize("job", [("--no-kill", "--ntasks-per-node=1")], indirect=True)
def test_a_node_that_freezes_writes_nothing_more_when_it_goes_on(
    workshop: Workshop, cluster: Cluster, job: dict[str, str]
) -> None:
    """Its trial is given away meanwhile."""
    workshop.write(BOTH)
    options = ("--n-trials", "4", "--max-retries", "0")
    process = workshop.start(*options, *CPU, environment=job)
    for name in ("n1", "n2"):
        wait_until((workshop.folder / f"on {name}").exists, 60)
    placed = [trial.user_attrs["jl_device"].partition(" ")[0] for trial in workshop.trials()]
    worker = psutil.Process(workshop.owner_pid(placed.index("n2")))
    with cluster.frozen("n2"):
        wait_until(lambda: "FAIL" in workshop.states(), 120)
        assert worker.status() == psutil.STATUS_STOPPED
        records = workshop.records()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 60)
    assert workshop.records() == records
    workshop.tell("go")
    ended = finish(process, 120)
    assert ended.code == 0, ended.err
    assert workshop.states().count("COMPLETE") == 4
    assert set(workshop.states()) == {"COMPLETE", "FAIL"}
    cluster.run("scontrol", "update", "nodename=n2", "state=resume")


def living() -> set[int]:
    """The pids of what runs; a zombie waits for init."""
    found = psutil.process_iter(["status"])
    return {one.pid for one in found if one.info["status"] != psutil.STATUS_ZOMBIE}


# As torchrun: a process for each GPU, which has the arguments of the trial. Of the second pair of
# trials each is pruned, which is the only end that it has.
TWO_RANKS = """
rank, trial, x = os.environ.get("RANK"), int(DIR.name), sys.argv[1]
if rank is None:
    here = [sys.executable, *sys.argv]
    ranks = [subprocess.Popen(here, env={**os.environ, "RANK": str(n)}) for n in (0, 1)]
    sys.exit(max(one.wait() for one in ranks))
gpu = os.environ["CUDA_VISIBLE_DEVICES"].split(",")[int(rank)]
note(f"{trial} {rank}", f"{x} {os.environ['SLURMD_NODENAME']} {gpu} {os.getpid()}")
for other in ("0 0", "1 0", f"{trial} {1 - int(rank)}"):
    told(other)
if rank == "0":
    print("epoch 1 loss", x, flush=True)
if trial >= 2:
    told("never")
if rank == "0":
    print(x)
"""
PRUNES_LATER_TRIALS = """
import optuna

class Pruner(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.number >= 2
"""


@pytest.mark.slow
def test_a_trial_on_two_gpus_has_one_set_of_parameters_and_pruning_ends_both_ranks(
    workshop: Workshop, job: dict[str, str]
) -> None:
    scripts = ScriptShop(workshop)
    scripts.write(TWO_RANKS)
    (workshop.folder / "pruner.py").write_text(PRUNES_LATER_TRIALS)
    report = {"pattern": r"epoch (?P<step>\d+) loss (?P<value>\S+)"}
    given = scripts.configured(command={"run": scripts.command, "report": report})
    options = ("--n-trials", "4", "--pruner", "pruner.py:Pruner", "--gpus-per-worker", "2")
    ended = workshop.run(*given, *options, *GPU, command=True, environment=job)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 2 + ["PRUNED"] * 2
    nodes = []
    for trial in workshop.trials():
        assert trial.user_attrs["jl_device_uuid"] == ",".join(gpu["uuid"] for gpu in GPUS)
        ranks = [workshop.noted(f"{trial.number} {rank}").split() for rank in (0, 1)]
        assert {float(x) for x, *_ in ranks} == {trial.params["x"]}
        assert [gpu for *_, gpu, _ in ranks] == [gpu["uuid"] for gpu in GPUS]
        wait_until(lambda pids={int(pid) for *_, pid in ranks}: not pids & living())
        nodes += {node for _, node, *_ in ranks}
    assert sorted(nodes[:2]) == ["n1", "n2"] and len(nodes) == 4


def submitted(
    cluster: Cluster, workshop: Workshop, scratch: Path, *options: str, time: str = "04:00:00"
) -> str:
    """The number of the job of a study.sbatch of `init`, on CPUs; `options` stand behind it.

    What the study is stands in study.toml.
    """
    environment = {
        **os.environ,
        **cluster.environment,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(scratch),
    }
    init = [sys.executable, "-P", "-m", "journal_launcher", "init", "--slurm"]
    subprocess.run(init, env=environment, cwd=workshop.folder, check=True)
    script = workshop.folder / "study.sbatch"
    text = script.read_text()
    for old, new in (
        ("\njournal-launcher run", f"\n{shlex.quote(sys.executable)} -m journal_launcher run"),
        ("#SBATCH --gpus-per-node=1\n#SBATCH --cpus-per-gpu=4\n", ""),
        ("TERM@120", "TERM@60"),
        ("04:00:00", time),
    ):
        assert old in text
        text = text.replace(old, new)
    script.write_text(text)
    settings = {
        "objective": workshop.reference,
        "study_name": "study",
        "studies_dir": str(workshop.paths.folder),
        "n_trials": 100,
        "gpus": "none",
    }
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (workshop.folder / "study.toml").write_text("".join(lines))
    done = subprocess.run(
        ["sbatch", "--parsable", str(script), *options],
        env=environment,
        cwd=workshop.folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_cancelled_job_of_init_is_over_and_goes_on_with_the_options_behind_it(
    workshop: Workshop, cluster: Cluster, tmp_path: Path
) -> None:
    """scancel is no time limit: nothing is queued again. Options do not replace study.toml."""
    workshop.write(PATIENT)
    number = submitted(cluster, workshop, tmp_path, "--n-trials", "3")
    workshop.noted("running")
    cluster.run("scancel", number)
    wait_until(cluster.is_empty)
    said = (workshop.folder / f"study-{number}.out").read_text()
    assert "1 of 3 trials finished" in said and "repeat the same command" in said
    assert "invalid" not in said.lower()  # nothing asks Slurm for what it refuses
    workshop.tell("go")
    cluster.run("sbatch", "study.sbatch", "--n-trials", "3", cwd=workshop.folder)
    wait_until(cluster.is_empty)
    assert workshop.states().count("COMPLETE") == 3


@pytest.mark.slow
@pytest.mark.timeout(900)  # Slurm waits two minutes before a requeued job may begin
def test_a_job_of_init_goes_on_after_its_limit_and_after_preemption(
    workshop: Workshop, cluster: Cluster, tmp_path: Path
) -> None:
    """The script stops before the limit and requeues itself; then another job preempts it."""
    workshop.write(PATIENT)
    number = submitted(cluster, workshop, tmp_path, "--n-trials", "3", time="00:02:00")

    def restarts() -> int:
        said = cluster.run("scontrol", "show", "job", number)
        return int(said.split("Restarts=")[1].split()[0]) if "Restarts=" in said else -1

    workshop.noted("running")
    (workshop.folder / "running").unlink()
    wait_until(lambda: restarts() == 1, 200)
    wait_until(lambda: (workshop.folder / "running").exists(), 200)
    (workshop.folder / "running").unlink()
    cluster.run("srun", "--partition=high", "--nodes=2", "--exclusive", "true")
    wait_until(lambda: restarts() == 2, 100)
    workshop.tell("go")
    wait_until(lambda: cluster.is_empty(), 200)
    assert workshop.states().count("COMPLETE") == 3
    assert set(workshop.states()) == {"COMPLETE", "FAIL"}
