"""What a Slurm job has, and which workers that makes; its words are those of Slurm 22.05."""

from typing import Any

import pytest

from journal_launcher.api import launch
from journal_launcher.base.errors import UsageError
from journal_launcher.launcher.engines import slurm
from journal_launcher.launcher.engines.slurm import Allocation, NodeShare, SlurmEngine
from journal_launcher.settings.launch_settings import LaunchSettings

SAID = """\
JobId=7 JobName=study
   NumNodes=3 NumCPUs=14 NumTasks=6 CPUs/Task=2 ReqB:S:C:T=0:0:*:*
   TRES=cpu=14,mem=4000M,node=3,billing=14
     Nodes=n[1-2] CPU_IDs=0-3 Mem=2000 GRES=gpu:2(IDX:0-1)
     Nodes=n7 CPU_IDs=0-3,8-9 Mem=2000 GRES=gpu:a100:2(IDX:0-1),gpu:v100:1(IDX:2),shard:4
   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
"""
HOSTS = {"n[1-2]": "n1\nn2\n", "n7": "n7\n"}
INSIDE = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "2000", "PATH": "/bin", "SLURM_CONF": "/c"}


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Any:
    said = [SAID]

    def ask(environment: Any, *command: str) -> str:
        return HOSTS[command[-1]] if "hostnames" in command else said[0]

    monkeypatch.setattr(slurm, "_ask", ask)
    return lambda text: said.__setitem__(0, text)


def planned(**options: Any) -> Any:
    settings = LaunchSettings(command="true {x}", space={"x": [1, 2]}, **options)
    return SlurmEngine(settings, INSIDE).plan()


def refused(**options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        planned(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_read_node_by_node(say: Any) -> None:
    nodes = (NodeShare("n1", 4, 2), NodeShare("n2", 4, 2), NodeShare("n7", 6, 3))
    assert slurm.read_allocation(INSIDE) == Allocation(nodes, 6, 2)


def test_each_gpu_has_a_worker_with_its_share_of_the_cpus_and_no_options_of_the_job(
    say: Any,
) -> None:
    specs, notes = planned()
    assert len(specs) == 7 and notes == ()
    assert {spec.threads for spec in specs} == {2}
    assert specs[0].device.label == "Slurm · GPU" and specs[0].device.kind == "gpu"
    environment = specs[0].environment
    assert environment["SLURM_JOB_ID"] == "7" and environment["SLURM_CONF"] == "/c"
    assert not {"SLURM_MEM_PER_NODE", "CUDA_VISIBLE_DEVICES"} & set(environment)


def test_several_gpus_of_a_worker_are_of_one_node(say: Any) -> None:
    specs, notes = planned(gpus_per_worker=2)
    assert len(specs) == 3
    assert notes == ("1 of 7 GPUs stay idle: --gpus-per-worker 2",)


def test_without_gpus_each_task_is_a_worker(say: Any) -> None:
    for options in ({"gpus": "none"}, {"gpus": "none", "workers": 4}):
        specs, _ = planned(**options)
        assert len(specs) == options.get("workers", 6)
        assert {(spec.threads, spec.device.kind) for spec in specs} == {(2, "cpu")}
    say(SAID.replace("gpu", "fpga"))
    assert len(planned()[0]) == 6


def test_what_does_not_go_together_is_one_line_that_says_what_to_ask_for(say: Any) -> None:
    assert "the job says which GPUs" in refused(gpus="0,1")
    assert "a GPU has one worker" in refused(workers_per_gpu=2)
    assert "--workers-per-gpu auto: with --engine slurm" in refused(workers_per_gpu="auto")
    assert "--ntasks=9" in refused(gpus="none", workers=9)
    assert "--gpus-per-node=4" in refused(gpus_per_worker=4)
    assert "counts CPU workers" in refused(workers=2)
    say(SAID.replace("CPU_IDs=0-3 ", "CPU_IDs=0 "))
    assert "a CPU of this job for each of 2 workers on n1, found 1" in refused()
    say("slurm_load_jobs error")
    assert "expected nodes and tasks" in refused()


def test_outside_a_job_it_is_one_line_that_says_what_to_type() -> None:
    settings = LaunchSettings(command="true {x}", space={"x": [1, 2]}, engine="slurm")
    with pytest.raises(UsageError, match=r"init --slurm && sbatch study\.sbatch"):
        SlurmEngine(settings, {"PATH": "/bin"})
    with pytest.raises(UsageError, match="leave the srun before it away"):
        SlurmEngine(settings, {**INSIDE, "SLURM_STEP_ID": "0"})
    SlurmEngine(settings, {**INSIDE, "SLURM_STEP_ID": "4294967290"})  # salloc's own shell


def test_debugging_elsewhere_is_refused() -> None:
    with pytest.raises(UsageError, match="--engine slurm: not with --debug"):
        LaunchSettings(engine="slurm", command="true {x}", space={"x": [1, 2]}, debug=True)


def test_a_function_that_no_file_has_is_refused() -> None:
    with pytest.raises(UsageError, match="write it into a file"):
        launch(objective=lambda trial: 0.0, engine="slurm")
