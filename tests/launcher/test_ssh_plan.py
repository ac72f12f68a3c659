"""Which hosts are meant, what they answer, and which workers that makes; tests/ssh has the rest."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import wait_until

from journal_launcher.api import launch
from journal_launcher.base.errors import DeviceError, UsageError
from journal_launcher.base.messages import Carry
from journal_launcher.devices.choose import Device
from journal_launcher.devices.claims import Claims
from journal_launcher.launcher.agent import Agent
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines import carried, host_survey, ssh
from journal_launcher.launcher.engines.carried import CarriedProcess
from journal_launcher.launcher.engines.host_survey import Found, devices_of
from journal_launcher.settings.hosts import Host, parse_hosts
from journal_launcher.settings.launch_settings import LaunchSettings

COMMAND: dict[str, Any] = {"command": "true {x}", "space": {"x": [1, 2]}}


def settings(**options: Any) -> LaunchSettings:
    return LaunchSettings(**COMMAND, **{"hosts": "a,b", **options})


def found(host: str, gpus: int, uuid: str = "", **more: Any) -> Found:
    (asked,) = parse_hosts(host)
    devices = tuple(
        Device("gpu", f"GPU-{uuid or asked.label}{n}", str(n), "NVIDIA H100", asked.label)
        for n in range(gpus)
    )
    return Found(asked, devices, 8, **more)


def labels(*answers: Found, **options: Any) -> list[str]:
    placed, _ = devices_of(settings(**options), answers)
    return [device.label for _, device in placed]


def refused(*answers: Found, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        devices_of(settings(**options), answers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_hosts_are_read_as_ssh_names_them() -> None:
    assert parse_hosts("a, me@b.example.org:2") == (
        Host("a", None),
        Host("me@b.example.org", 2),
    )
    assert parse_hosts("me@b:2")[0].label == "b"


@pytest.mark.parametrize("text", ["", "a,", "-oProxyCommand=x", "a:0", "a:22:2", "a b", "a:two"])
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--hosts: expected machines as ssh knows them"):
        settings(hosts=text)


def test_a_host_is_named_once() -> None:
    with pytest.raises(UsageError, match="me@a is in 'a,me@a' twice; me@a:2 is two workers"):
        settings(hosts="a,me@a")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 2}, "as in --hosts a:2,b:4"),
        ({"workers_per_gpu": 2}, "with --hosts a GPU has one worker"),
        ({"engine": "slurm"}, "use either --hosts or --engine slurm"),
        ({"debug": True}, "--hosts: not with --debug"),
    ],
)
def test_what_does_not_go_with_hosts_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings(**options)


def test_a_function_without_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match="--hosts: expected a function of a file"):
        launch(objective=lambda trial: 0.0, hosts="a")


def test_each_free_gpu_has_a_worker_or_as_many_as_are_asked_for() -> None:
    gpu = "GPU {} NVIDIA H100"
    a = [f"a · {gpu.format(n)}" for n in (0, 1)]
    assert labels(found("a", 2), found("b", 1)) == [*a, f"b · {gpu.format(0)}"]
    assert labels(found("a:1", 2), found("b", 1)) == [a[0], f"b · {gpu.format(0)}"]


def test_where_no_host_has_a_gpu_each_has_a_worker_or_as_many_as_are_asked_for() -> None:
    assert labels(found("a", 0), found("b:2", 0)) == ["a · CPU", "b · CPU", "b · CPU"]
    assert "leave it away" in refused(found("a", 0), gpus_per_worker=2)


def test_a_host_without_a_free_gpu_stays_idle_beside_one_that_has() -> None:
    answers = (found("a", 1), found("b", 0, notes=("running on the CPU: no GPU",)))
    placed, notes = devices_of(settings(), answers)
    assert [device.host for _, device in placed] == ["a"]
    idle = "b stays idle; --gpus none uses the CPUs of all hosts"
    assert notes == ("b: running on the CPU: no GPU", idle)
    answers = (found("a", 1), found("b", 0, problem="every GPU is in use"))
    placed, notes = devices_of(settings(), answers)
    assert [device.host for _, device in placed] == ["a"]
    assert notes == ("b: every GPU is in use; going on without it",)


def test_less_than_was_asked_for_is_one_line() -> None:
    busy = found("b", 0, problem="every GPU is in use")
    assert refused(busy) == "--hosts: b: every GPU is in use"
    assert refused(found("a", 1), busy, gpus="all") == "--hosts: b: every GPU is in use"
    few = refused(found("me@a:4", 2, notes=("GPU 3: others hold 9 GiB",)))
    assert few == (
        "--hosts me@a:4: expected 4 free GPUs on a, found 2 (GPU 3: others hold 9 GiB); type me@a:2"
    )
    assert refused(found("a", 1), found("b:1", 0)).endswith("found none; leave b away")


def test_two_names_of_one_machine_would_share_its_gpus() -> None:
    said = refused(found("a", 2, uuid="x"), found("b", 2, uuid="x"))
    assert said == "--hosts: a and b are one machine (both have GPU-x0); name it once"


def test_what_belongs_to_this_session_is_not_carried() -> None:
    session = {"SSH_AUTH_SOCK": "/s", "DISPLAY": ":0", "TMPDIR": "/t", "CUDA_VISIBLE_DEVICES": "1"}
    assert carried.carried_environment({"TOKEN": "x", "_X": "y", **session}) == {
        "TOKEN": "x",
        "_X": "y",
    }


@pytest.mark.parametrize(
    ("lacks", "code"),
    [
        ("folder", carried.NO_FOLDER),
        ("python", carried.NO_PYTHON),
        ("agent.py", carried.NO_PROGRAM),
        (None, 0),
    ],
)
def test_the_script_says_what_a_host_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str | None, code: int
) -> None:
    """In places with spaces and quotes, and beside a PYTHONPATH of the host's own."""
    place = tmp_path / "it's $HOME"
    (place / "folder").mkdir(parents=True)
    monkeypatch.chdir(place / "folder")
    python, agent = place / "python", place / "agent.py"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH"; pwd; printf "%s\\n" "$@"\n')
    python.chmod(0o755)
    agent.touch()
    monkeypatch.setattr(carried, "agent_command", lambda: (str(python), "-P", str(agent)))
    script = carried.agent_script(str(Path.cwd()), "/mine 'own")
    if lacks is not None:
        (place / lacks).rename(place / "gone")
    for known in ({}, {"PYTHONPATH": "/theirs own"}):
        shell = f"exec /bin/sh -c {shlex.quote(script)}"
        done = subprocess.run(
            ["/bin/sh", "-c", shell], cwd="/", env=known, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        if not code:
            path = known.get("PYTHONPATH", "/mine 'own")
            assert done.stdout.splitlines() == [path, str(Path.cwd()), "-P", str(agent)]


@pytest.mark.parametrize("checkout", [True, False])
def test_what_mends_a_host_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: bool
) -> None:
    """Every word arrives whole, through the shell here and the one there."""
    root = tmp_path / "my code"
    (root / "package").mkdir(parents=True)
    monkeypatch.setattr(host_survey, "AGENT", root / "package" / "launcher" / "agent.py")
    monkeypatch.setattr(sys, "prefix", f"{root}/.venv")
    monkeypatch.chdir(root)
    if checkout:
        (root / "launch.sh").touch()
    for name in ("ssh", "rsync"):
        there = 'shift; exec /bin/sh -c "$*"' if name == "ssh" else 'printf "%s\\n" rsync "$@"'
        (tmp_path / name).write_text(f"#!/bin/sh\n{there}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("launch.sh", ".venv/bin/pip"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if checkout or name != "launch.sh":
            (root / name).write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
            (root / name).chmod(0o755)
    (tmp_path / "python3").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    lines = []
    for command in (host_survey._install("b"), host_survey._copy("b")):
        path = f"{tmp_path}:/usr/bin:/bin"
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        lines.append(done.stdout.splitlines())
    venv = f"{root}/.venv"
    installed = ["-m", "venv", venv, f"{venv}/bin/pip", "install"]
    copied = ["rsync", "-a", "--exclude=.venv", f"{root}/", f"b:{root}/"]
    if checkout:
        assert lines[0] == [*copied, f"{root}/launch.sh", "doctor"]
    else:
        assert lines[0][:-1] == installed and lines[0][-1].startswith("journal-launcher==")
    assert lines[1] == ["rsync", "-a", f"{root}/", f"b:{root}/"]


def test_a_gpu_that_another_launch_has_taken_meanwhile_is_left_to_it(
    tmp_path: Path, machine: Callable[..., None]
) -> None:
    uuid = "GPU-11111111-0000-4000-8000-000000000000"
    machine([{"uuid": "GPU-22222222-0000-4000-8000-000000000000"}, {"uuid": uuid}])
    with Claims() as theirs, Claims() as ours:
        agent = Agent(0, 1, tmp_path, ours)
        assert theirs.take(uuid) is None
        with pytest.raises(DeviceError, match=r"another launch \(pid \d+\) has it"):
            agent._claimed(uuid, shared=False)
        assert agent._claimed(uuid, shared=True).index == 1


def test_a_client_that_the_workers_children_keep_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_LINGER", 0.0)
    monkeypatch.setattr(CarriedProcess, "said_how_it_ended", True)
    spec = WorkerSpec(0, Device("cpu", None, None, "CPU"), 1, {"PATH": "/usr/bin:/bin"})
    client = [sys.executable, "-c", "import time; time.sleep(1000)"]
    process = ssh.SshProcess(spec, "launch", tmp_path / "0.log", client, Carry("x", {}, 0))
    wait_until(process.has_exited)
    process.reap(1.0)
