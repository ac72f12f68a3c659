"""What `doctor` says of machines good and bad, and that it leaves nothing behind."""

import json
import os
import resource
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from journal_launcher.__main__ import main
from journal_launcher.base.errors import DeviceError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.study.journal import network
from journal_launcher.views.doctor import devices, examine, resource_limits, software, studies
from journal_launcher.views.doctor.finding import Finding

GIB = 2**30
A = "GPU-aaaa0000-0000-4000-8000-000000000000"
B = "GPU-bbbb0000-0000-4000-8000-000000000001"

SetMachine = Callable[..., None]  # the fixture `machine`


@pytest.fixture(autouse=True)
def a_torch_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "torch_build", lambda: ("2.10.0", "12.8"))


def found(**environment: str) -> dict[str, list[Finding]]:
    """What is said of the devices, by topic."""
    by_topic: dict[str, list[Finding]] = {}
    for finding in devices.check_devices(environment):
        by_topic.setdefault(finding.topic, []).append(finding)
    return by_topic


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def test_every_problem_says_what_to_do(machine: SetMachine, tmp_path: Path) -> None:
    machine([{"uuid": A, "used": 70 * GIB, "mode": 2}], cuda=11080)
    problems = [each for each in examine(StudiesFolder(tmp_path), {}) if each.level == "problem"]
    assert {each.topic for each in problems} == {"driver", "gpu", "launch"}
    assert all(each.remedy for each in problems)


# --- devices


def test_two_free_gpus_are_taken(machine: SetMachine) -> None:
    machine([{"uuid": A}, {"uuid": B}], cuda=12040)
    said = found()
    assert levels(said["driver"] + said["gpu"] + said["launch"]) == ["ok"] * 4
    (driver,) = said["driver"]
    assert driver.text == (
        "NVIDIA 550.54.14, runs CUDA up to 12.4; torch 2.10.0 is built for CUDA 12.8"
    )
    assert said["gpu"][0].text == f"0 NVIDIA H100 80GB HBM3 ({A}): 0.0 GiB of 80.0 GiB in use"
    assert said["launch"][0].text == "it would take GPU 0 NVIDIA H100, GPU 1 NVIDIA H100"


def test_who_computes_and_who_draws_is_named(machine: SetMachine) -> None:
    processes = {"compute": [[os.getppid(), 20 * GIB]], "graphics": [[2**22 + 1, None]]}
    machine([{"uuid": A, "used": 20 * GIB, **processes}, {"uuid": B}])
    said = found()
    text = said["gpu"][0].text
    assert "20.0 GiB of 80.0 GiB in use; compute: " in text
    assert f", pid {os.getppid()} (20.0 GiB); graphics: pid {2**22 + 1}" in text
    assert levels(said["launch"]) == ["note", "ok"]
    assert "others hold 20.0 of 80.0 GiB" in said["launch"][0].text


def test_every_gpu_in_use_stops_a_launch(machine: SetMachine) -> None:
    machine([{"uuid": A, "used": 20 * GIB}])
    (launch,) = found()["launch"]
    assert launch.level == "problem" and "every GPU is in use" in launch.text
    assert launch.remedy == "use `--gpus all` to share them anyway"


@pytest.mark.parametrize(
    ("torch", "driver", "cuda", "level"),
    [
        ("13.0", "570.10", 12080, "problem"),
        ("13.0", "580.65.06", 13000, "ok"),
        ("12.8", "535.1", 12020, "ok"),
        ("13.0", "570.10", None, "problem"),  # an old binding: the driver's number tells
        ("13.0", "580.65.06", None, "ok"),
        ("13.0", "strange", None, "ok"),
        (None, "580.65.06", 13000, "problem"),  # a build for the CPU
    ],
)
def test_the_driver_must_run_the_cuda_of_torch(
    machine: SetMachine,
    monkeypatch: pytest.MonkeyPatch,
    torch: str | None,
    driver: str,
    cuda: int | None,
    level: str,
) -> None:
    monkeypatch.setattr(devices, "torch_build", lambda: ("2.13.0", torch))
    machine([{"uuid": A}], driver=driver, **({"cuda": cuda} if cuda else {}))
    (finding,) = found()["driver"]
    assert finding.level == level
    if level == "problem" and torch:
        assert "CUDA 13 needs 580 or newer" in finding.remedy


def test_torch_is_read_and_not_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    version, _ = devices.torch_build()
    assert version == metadata.version("torch")
    text = "__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n"
    (tmp_path / "version.py").write_text(text)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(devices, "find_spec", lambda name: spec)
    assert devices.torch_build() == ("2.13.0", "13.0")
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    assert devices.torch_build() == (None, None)


def test_without_a_driver_a_launch_runs_on_the_cpu(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "_DEVICE_FILES", tmp_path)
    machine([], failing={"nvmlInit": "NVML Shared Library Not Found"})
    said = found()
    assert list(said) == ["launch"]
    assert levels(said["launch"]) == ["note"]
    assert said["launch"][0].text.startswith("running on the CPU: ")


def test_a_broken_driver_beside_a_gpu_is_a_problem(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "_DEVICE_FILES", tmp_path)
    (tmp_path / "nvidia-uvm").touch()
    machine([], failing={"nvmlInit": "Driver/library version mismatch"})
    assert "driver" not in found()
    (tmp_path / "nvidia0").touch()
    (driver,) = found()["driver"]
    assert driver.level == "problem" and "Driver/library version mismatch" in driver.text
    machine([], failing={"nvmlDeviceGetCount": "Unknown Error"})
    assert levels(found()["driver"]) == ["problem"]


def test_a_driver_without_gpus_needs_no_torch_for_it(machine: SetMachine) -> None:
    machine([], cuda=11080)
    said = found()
    assert levels(said["driver"] + said["launch"]) == ["ok", "note"]
    assert said["launch"][0].text == "running on the CPU: no NVIDIA GPU found"


def test_lost_gpus_mig_and_compute_modes_are_said(machine: SetMachine) -> None:
    instance = {"uuid": "MIG-1", "name": "H100 MIG 1g.10gb", "gi": 7, "ci": 0, "total": 10 * GIB}
    gpus = [{"uuid": A}, {"uuid": B, "mig": [None]}, {"uuid": B + "2", "mig": [instance]}]
    machine([*gpus, {"uuid": A + "3", "mode": 3}, {"uuid": A + "4", "mode": 2}], lost=[0])
    said = found()["gpu"]
    assert levels(said) == ["ok", "note", "problem", "note", "note"]
    assert said[0].text == "2 H100 MIG 1g.10gb, a MIG instance (MIG-1): 0.0 GiB of 10.0 GiB in use"
    assert said[1].remedy == "leave --workers-per-gpu at 1"
    assert said[2].remedy == "type `sudo nvidia-smi -i 4 -c DEFAULT`"
    assert "GPU is lost" in said[3].text and "dmesg" in said[3].remedy
    assert "MIG is on, without instances" in said[4].text and "-cgi" in said[4].remedy
    assert not [each for each in found()["launch"] if "left out" in each.text]  # said once


def test_mps_is_said(machine: SetMachine, tmp_path: Path) -> None:
    machine([{"uuid": A}])
    assert "mps" not in found(CUDA_MPS_PIPE_DIRECTORY=str(tmp_path))
    (tmp_path / "control").touch()
    assert levels(found(CUDA_MPS_PIPE_DIRECTORY=str(tmp_path))["mps"]) == ["note"]


def test_a_gpu_that_cuda_cannot_open_is_no_problem_beside_another(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[str] = []

    def verify(uuid: str, *, environment: dict[str, str], **_: Any) -> str:
        pinned.append(environment["CUDA_VISIBLE_DEVICES"])
        if uuid == A:
            raise DeviceError(f"a worker cannot open {A}: cuInit failed; check the GPU")
        return "verified"

    monkeypatch.setattr(devices, "verify_device", verify)
    machine([{"uuid": A}, {"uuid": B}])
    one, other = found()["launch"]
    assert (one.level, one.text) == ("ok", "it would take GPU 1 NVIDIA H100")
    assert (other.level, other.remedy) == ("note", "check the GPU")
    machine([{"uuid": A}])
    assert levels(found()["launch"]) == ["problem"]
    assert sorted(pinned) == [A, A, B]


# --- packages


def test_packages_that_are_missing_or_old_are_named_with_their_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = {"optuna": "4.1.0", "xgboost": None, "torch": None, "ray": "2.60.0"}
    installed = software._version
    monkeypatch.setattr(software, "_version", lambda name: versions.get(name, installed(name)))
    monkeypatch.setattr(software, "install_command", lambda *names: f"pip install {names}")
    said = [each for each in software.check_software() if each.level != "ok"]
    assert [(each.level, each.text) for each in said] == [
        ("problem", "expected optuna<6,>=5, found 4.1.0"),
        ("problem", "expected torch>=2.4, found none"),
        ("note", "xgboost is not installed"),
    ]
    assert said[0].remedy == "type pip install ('optuna<6,>=5',)"
    assert said[2].remedy == "to use it type pip install ('xgboost',)"


def test_an_installation_says_itself_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(software, "_PYPROJECT", tmp_path / "pyproject.toml")
    needs = ["click>=8.1", 'tomli; python_version < "3.11"', 'no-such>=3; extra == "more"']
    monkeypatch.setattr(software.metadata, "requires", lambda name: needs)
    extras = SimpleNamespace(get_all=lambda name: ["more", "test"])
    monkeypatch.setattr(software.metadata, "metadata", lambda name: extras)
    said = [(each.topic, each.level) for each in software.check_software()]
    assert said == [("python", "ok"), ("packages", "ok"), ("extra", "note")]


def test_what_cannot_be_looked_at_is_said(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_psutil() -> None:
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    machine([])
    monkeypatch.setattr("journal_launcher.views.doctor.check_limits", no_psutil)
    said = examine(StudiesFolder(tmp_path), {})
    (problem,) = (each for each in said if each.level == "problem")
    assert "No module named 'psutil'" in problem.text and "pip install psutil" in problem.remedy
    assert said[-1].topic == "studies"


# --- limits


@pytest.mark.parametrize(
    ("kind", "limit", "topic", "level"),
    [
        (resource.RLIMIT_NOFILE, 64, "files", "note"),
        (resource.RLIMIT_NOFILE, 1024, "files", "ok"),
        (resource.RLIMIT_NPROC, 1, "processes", "problem"),
        (resource.RLIMIT_NPROC, 10**6, "processes", "ok"),
        (resource.RLIMIT_AS, GIB, "addresses", "note"),
        (resource.RLIMIT_AS, resource.RLIM_INFINITY, "addresses", "ok"),
    ],
)
def test_limits(
    monkeypatch: pytest.MonkeyPatch, kind: int, limit: int, topic: str, level: str
) -> None:
    monkeypatch.setattr(resource_limits.os, "geteuid", lambda: 1000)
    no_limit = resource.RLIM_INFINITY
    fake = SimpleNamespace(**vars(resource))
    fake.getrlimit = lambda asked: (limit if asked == kind else no_limit, no_limit)
    monkeypatch.setattr(resource_limits, "resource", fake)
    (finding,) = (each for each in resource_limits.check_limits() if each.topic == topic)
    assert finding.level == level and bool(finding.remedy) == (level != "ok")


def test_cores_say_what_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_limits.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(resource_limits, "core_limits", lambda: (8, 1.5))
    monkeypatch.setattr(resource_limits, "available_cores", lambda: 1)
    cores = next(iter(resource_limits.check_limits()))
    assert cores.text == "1 of 64 may be used (affinity leaves 8, a cgroup quota leaves 1.5)"


# --- the studies folder


def test_a_folder_that_is_yet_to_make_is_tried_where_it_would_be(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "studies"
    said = list(studies.check_studies(root))
    assert said[0].text == f"{root}, which a launch would make"
    assert "problem" not in levels(said)
    assert "a lock holds, and an append reaches the disk in " in said[-1].text
    assert list(tmp_path.iterdir()) == []


def test_studies_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.log").write_text("damaged")
    before = [(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")]
    list(studies.check_studies(tmp_path))
    assert [(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")] == before


@pytest.mark.parametrize(
    ("kind", "level"),
    [("nfs4", "problem"), ("fuse.sshfs", "problem"), ("tmpfs", "note"), ("xfs", "ok")],
)
def test_file_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, level: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"36 35 98:0 / / rw,noatime master:1 - {kind} /dev/root rw\n")
    monkeypatch.setattr(network, "_MOUNTS", mounts)
    _, finding, *_ = studies.check_studies(tmp_path)
    assert finding.level == level and kind in finding.text


def test_little_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, inodes, expected in [
        (GIB // 2, 5000, ["note", "note"]),
        (2**20, 50, ["problem", "problem"]),
        (9 * GIB, 10**6, ["ok", "ok"]),
    ]:
        monkeypatch.setattr(
            studies.shutil, "disk_usage", lambda at, f=free: SimpleNamespace(free=f)
        )
        counted = SimpleNamespace(f_files=10**7, f_favail=inodes)
        monkeypatch.setattr(studies.os, "statvfs", lambda at, c=counted: c)
        assert levels(list(studies._check_room(tmp_path))) == expected


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("os.symlink", PermissionError(1, "Operation not permitted")),  # FAT knows no links
        ("os.fsync", OSError(28, "No space left on device")),
        ("tempfile.mkdtemp", OSError(30, "Read-only file system")),
        ("fcntl.flock", OSError(37, "No locks available")),
    ],
)
def test_a_folder_that_cannot_hold_a_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str, error: OSError
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(broken, fail)
    finding = studies._try(tmp_path)
    monkeypatch.undo()
    assert finding.level == "problem" and str(error.strerror) in finding.text
    assert "--studies-dir" in finding.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_excludes_nobody_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    finding = studies._try(tmp_path)
    assert finding.level == "problem" and "given to another one" in finding.text


def test_studies_of_others_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "theirs.log").touch()
    assert list(studies._check_writable(StudiesFolder(tmp_path))) == []
    monkeypatch.setattr(studies.os, "access", lambda path, mode: False)
    (finding,) = studies._check_writable(StudiesFolder(tmp_path))
    assert finding.level == "note" and "theirs" in finding.text


# --- the command


def test_the_command_prints_lines_or_an_object_and_its_code_says_whether_it_can_launch(
    machine: SetMachine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["doctor", "--studies-dir", str(tmp_path), *arguments])
        return int(caught.value.code or 0), capsys.readouterr().out

    machine([{"uuid": A}], cuda=12040)
    code, out = run()
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} <= {"ok", "note"}
    machine([{"uuid": A, "used": 70 * GIB}], cuda=12040)
    code, out = run()
    assert code == 1 and "\nproblem  launch     --gpus auto: every GPU is in use" in out
    code, out = run("--json")
    told = json.loads(out)
    assert code == 1 and told["can_launch"] is False
    (problem,) = (each for each in told["findings"] if each["level"] == "problem")
    assert problem.keys() == {"level", "topic", "text", "remedy"}


def test_a_table_is_described_behind_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "houses.csv"
    table.write_text("rooms,price\n3,10.5\n4,20.5\n5,30.5\n")

    def doctor(*options: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--studies-dir", str(tmp_path / "studies"), *options])
        return int(ended.value.code or 0), *capsys.readouterr()

    code, out, _ = doctor("--data", str(table), "--target", "price", "--json")
    said = json.loads(out)
    assert said["findings"] and said["data"]["summary"].startswith("houses.csv: 3 rows, ")
    assert "\n\nhouses.csv: 3 rows, " in doctor("--data", str(table), "--target", "price")[1]
    code, out, problem = doctor("--data", str(table), "--target", "prize")
    assert code == 2 and "studies" in out and "did you mean 'price'?" in problem
    code, _, problem = doctor("--target", "price")
    assert code == 2 and "belongs to --data FILE" in problem
