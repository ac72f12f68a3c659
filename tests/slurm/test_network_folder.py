"""A studies folder on a network file system: sshfs, mounted by each node for itself.

Locks do not reach from one of these mounts to the other: there is one writer at a time, the launch.
"""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from launcher.harness import ROOT, Workshop, wait_until
from slurm.cluster import Cluster, running_cluster
from ssh.server import reachable, running_server

pytestmark = pytest.mark.slow
NODES = ("n1", "n2")
MISSING = ["sshfs"] * (shutil.which("sshfs") is None)
# In each node's first trial it waits until the test says go.
HELD = """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    (trial_dir() / "kept").write_text(str(x))
    node = os.environ["SLURMD_NODENAME"]
    note(f"on {node}", trial_dir())
    told("go")
    return x

def save_best(study, directory):
    (directory / "saved").write_text((trial_dir() / "kept").read_text())
"""


@pytest.fixture
def mounted(workshop: Workshop, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose nodes have the studies folder on mounts of their own, of one export."""
    if MISSING and os.environ.get("CI") != "true":
        pytest.skip("no sshfs: apt-get install sshfs")
    assert not MISSING, f"missing: {MISSING}"
    if not _is_device(Path("/dev/fuse")):
        pytest.skip("this kernel has no /dev/fuse: no file system of a program can be mounted")
    (tmp_path / "export").mkdir()
    workshop.paths.folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(running_server())
        user = stack.enter_context(reachable(server, tmp_path, {"a": {}}))
        cluster = stack.enter_context(running_cluster())
        for node in NODES:
            ssh = f"ssh_command={shutil.which('ssh', path=user['PATH'])}"
            export = f"a:{tmp_path / 'export'}"
            cluster.within(node, "sshfs", "-o", ssh, export, str(workshop.paths.folder))
            stack.callback(cluster.within, node, "umount", str(workshop.paths.folder))
        yield cluster


def _is_device(path: Path) -> bool:
    return path.exists() and stat.S_ISCHR(path.stat().st_mode)


def submit(shop: Workshop, cluster: Cluster, *options: str) -> str:
    """A job whose launch runs on the first of its nodes."""
    script = shop.folder / "job.sh"
    script.write_text(
        "#!/bin/sh\n"
        f"exec {shlex.quote(sys.executable)} -P -m journal_launcher run --engine slurm --gpus none"
        f" --objective '{shop.reference}' --study-name study --n-trials 6"
        f" --studies-dir '{shop.paths.folder}'\n"
    )
    environment = {**os.environ, **cluster.environment, "PYTHONPATH": str(ROOT)}
    job = ["sbatch", "--parsable", "--ntasks-per-node=1", "--output=job-%j.out", *options]
    submitted = subprocess.run(
        [*job, str(script)],
        env=environment,
        cwd=shop.folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return submitted.stdout.strip()


def test_a_study_goes_on_from_another_mount_of_the_same_export(
    workshop: Workshop, mounted: Cluster, tmp_path: Path
) -> None:
    workshop.write(HELD)
    first = submit(workshop, mounted, "--nodes=2")
    for node in NODES:
        wait_until((workshop.folder / f"on {node}").exists, 150)
        # In place: both see the folder, so nothing had to be carried.
        assert workshop.noted(f"on {node}").startswith(str(workshop.paths.directory))
    mounted.run("scancel", "--signal=KILL", "--full", first)
    wait_until(mounted.is_empty, 60)
    workshop.tell("go")
    second = submit(workshop, mounted, "--nodelist=n2")
    wait_until(mounted.is_empty, 150)
    said = (workshop.folder / f"job-{second}.out").read_text()
    assert "resumed" in said and "6 of 6 trials finished" in said, said
    # What both have written, as the server has it; nothing went past the mounts.
    assert not list(workshop.paths.folder.iterdir())
    shutil.copytree(tmp_path / "export", workshop.paths.folder, dirs_exist_ok=True)
    states = workshop.states()
    assert states.count("COMPLETE") == 6 and sorted(set(states)) == ["COMPLETE", "FAIL"]
    assert len(states) == 8
    best = workshop.paths.best_model_directory
    (x,) = {(best / name).read_text() for name in ("kept", "saved")}
    assert float(x) == workshop.study().best_value
    assert not workshop.paths.trials.exists()
