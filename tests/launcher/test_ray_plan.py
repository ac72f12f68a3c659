"""Which actors a launch on a Ray cluster asks for, and what it says when it cannot."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from launcher.harness import wait_until

from journal_launcher.base.channel import Channel
from journal_launcher.base.errors import UsageError
from journal_launcher.base.messages import Failed, Surveyed
from journal_launcher.launcher.engines import ray, ray_client
from journal_launcher.launcher.engines.carried import NO_FOLDER
from journal_launcher.launcher.engines.ray import RayEngine, RayNode, placed_on
from journal_launcher.settings.launch_settings import LaunchSettings

SAID = Channel("survey", 0).encode(Surveyed([], 8, [], None)).decode()


def settings(**options: Any) -> LaunchSettings:
    return LaunchSettings(objective="train.py:objective", engine="ray", **options)


def node(name: str, gpus: float = 0, free: float | None = None, **more: Any) -> RayNode:
    about = {"free_cpus": 8.0, "said": SAID, "complained": "", "status": 0, **more}
    return RayNode(name, name, f"ip of {name}", gpus, gpus if free is None else free, **about)


def places(*nodes: RayNode, **options: Any) -> list[tuple[str, int, int, int]]:
    placed, _ = placed_on(settings(**options), nodes)
    return [(one.node.name, one.gpus, one.cpus, one.threads) for one in placed]


def refused(*nodes: RayNode, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        placed_on(settings(**options), nodes)
    return str(caught.value)


def test_each_free_gpu_has_a_worker_and_its_share_of_the_cores() -> None:
    nodes = (node("head"), node("a", 4, 2), node("b", 1))
    assert places(*nodes) == [("a", 1, 0, 4), ("a", 1, 0, 4), ("b", 1, 0, 8)]
    assert len(places(*nodes, gpus="all")) == 5
    assert places(*nodes, gpus_per_worker=2) == [("a", 2, 0, 8)]
    assert placed_on(settings(gpus_per_worker=2), nodes)[1] == (
        "2 of 5 GPUs of the cluster are in use",
        "1 of 3 GPUs stay idle: --gpus-per-worker 2",
    )


def test_without_gpus_the_nodes_share_workers_by_their_free_cpus() -> None:
    nodes = (node("a", 1), node("b", free_cpus=4.5), node("c", free_cpus=0.5))
    assert places(*nodes, gpus="none") == [("a", 0, 8, 8), ("b", 0, 4, 4)]
    assert places(*nodes, gpus="none", workers=1) == [("a", 0, 8, 8)]
    assert places(*nodes, gpus="none", workers=2) == [("a", 0, 8, 8), ("b", 0, 4, 4)]
    four = places(*nodes, gpus="none", workers=4)
    assert [(name, threads) for name, _, _, threads in four] == [
        ("a", 2),
        ("a", 2),
        ("a", 2),
        ("b", 4),
    ]
    assert places(node("a"), node("b"))[0] == ("a", 0, 8, 8)
    assert placed_on(settings(gpus="none"), nodes)[1] == ("c stays idle: no CPU is free",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpus": "0,1"}, "--gpus 0,1: with --engine ray the cluster says which GPUs; use auto"),
        ({"workers": 2}, "--workers 2: counts CPU workers, but this cluster has GPUs; use --gpus"),
        ({"gpus_per_worker": 4}, "--gpus auto: expected 4 GPUs on a node of the cluster, found 2"),
        ({"workers_per_gpu": 2}, "--workers-per-gpu 2: with --engine ray a GPU has one worker"),
        (
            {"gpus": "none", "workers": 17},
            "expected a free CPU of the cluster for each of 17 workers",
        ),
        ({"gpus": "none", "gpus_per_worker": 2}, "--gpus-per-worker 2: this launch uses no GPU"),
    ],
)
def test_what_does_not_go_together_is_one_line(options: dict[str, Any], said: str) -> None:
    line = refused(node("a", 2), node("b", 1), **options)
    assert said in line and "\n" not in line


def test_gpus_that_others_have_or_that_are_not_there() -> None:
    busy = refused(node("a", 2, 0))
    assert busy.startswith("--gpus auto: expected 1 GPU on a node of the cluster that nobody uses")
    assert refused(node("a"), gpus="all") == (
        "--gpus all: expected 1 GPU on a node of the cluster, found none; see: ray status"
    )


def test_a_node_that_gets_no_worker_need_not_be_as_this_machine() -> None:
    wrong = Channel("survey", 0).encode(Failed("b: expected another", 2, None)).decode()
    assert len(places(node("a", 1), node("b", said=wrong))) == 1
    assert refused(node("a", 1), node("b", 1, said=wrong)) == "--engine ray: b: expected another"
    late = refused(node("a", 1, said="", status=None))
    assert late.startswith("--engine ray: a: no answer in time")
    lacks = refused(node("a", 1, said="", status=NO_FOLDER))
    assert lacks.startswith(f"--engine ray: a: expected the folder {Path.cwd()} there too")
    assert refused(node("a", 1, said="", complained="x\nno room.\n", status=1)).endswith(
        "found 'no room'"
    )


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"expected the package ray in .*, found none; type: .*ray"
    ):
        RayEngine(LaunchSettings(model_type="linear", engine="ray"), os.environ).plan()


@pytest.mark.parametrize("address", ["ray://a:10001", "a", "a:b", ":6379", "a b:1"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(UsageError, match="expected auto, or HOST:PORT of a cluster"):
        settings(ray_address=address)
    with pytest.raises(UsageError, match="names a cluster of --engine ray"):
        LaunchSettings(objective="train.py:objective", ray_address="a:6379")
    for good in ("a.b:6379", "10.0.0.1:1", "[fe80::1]:6379"):
        assert settings(ray_address=good).ray_address == good


def test_a_client_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "client.py"
    client.write_text("import time; time.sleep(1000)")
    monkeypatch.setattr(ray, "_CLIENT", client)
    monkeypatch.setattr(ray, "_PATIENCE", 0.1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    engine = RayEngine(LaunchSettings(model_type="linear", engine="ray"), os.environ)
    with pytest.raises(UsageError, match="no answer of the cluster at auto: is it alive"):
        engine.plan()


# --- what an actor does, without Ray


def said_by(carrier: ray_client.Carrier, until: float = 20) -> tuple[bytes, bytes]:
    """All that it says until its end."""
    out, err, ended, deadline = b"", b"", False, time.monotonic() + until
    while not ended:
        assert time.monotonic() < deadline
        said, complained, ended = carrier.read()
        out, err = out + said, err + complained
    return out, err


def test_a_carrier_carries_all_bytes_and_the_end_both_ways() -> None:
    carrier = ray_client.Carrier("cat; echo bye; echo last >&2")
    data = bytes(range(256)) * 100
    carrier.write(data)
    carrier.write(b"")
    assert said_by(carrier) == (data + b"bye\n", b"last\n")
    carrier.write(b"too late")


def test_what_an_agent_leaves_behind_does_not_hold_its_carrier_up() -> None:
    """It has the agent's stderr, as a process has that a worker has started."""
    carrier = ray_client.Carrier("sleep 60 >/dev/null & echo $!; echo said >&2")
    out, err = said_by(carrier)
    subprocess.run(["kill", out.decode().strip()], check=True)
    assert err == b"said\n"


def test_an_agent_is_no_child_of_its_actor_and_ends_with_it(tmp_path: Path) -> None:
    """Ray kills an actor's children, before they could clean up."""
    program = (
        "import os, signal, sys; "
        "from journal_launcher.launcher.engines.ray_client import Carrier; "
        "c = Carrier(f'echo $PPID; cat >/dev/null; sleep 0.2; touch {sys.argv[1]}'); "
        "print(c.read()[0].decode(), os.getpid(), flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "cleaned")], capture_output=True, text=True
    )
    parent, actor = map(int, done.stdout.split())
    assert parent != actor
    wait_until((tmp_path / "cleaned").exists)


def test_what_ray_says_becomes_one_line() -> None:
    versions = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n"
        "This process on node 10.0.0.1 was started with:\n    Ray: 2.50.0\n    Python: 3.11.8\n"
    )
    said = ray_client._why("auto", versions)
    assert said.startswith(
        "expected Ray 2.60.0 with Python 3.11.9, as the cluster runs, found Ray 2"
    )
    assert said.endswith("pip install ray==2.60.0")
    none = ray_client._why("auto", "Could not find any running Ray instance. Please specify")
    assert none.startswith(
        "expected a Ray cluster that this machine is a node of, found none; start"
    )
    other = ray_client._why("a:1", "No node\n matching  10.0.0.1")
    assert other.endswith("at a:1, found: No node matching 10.0.0.1")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://a:10001", "RAY_ADDRESS=ray://a:10001: expected HOST:PORT of a cluster that this"),
        ("local", "RAY_ADDRESS=local: expected HOST:PORT"),  # it would be a new one
        ("127.0.0.1:1", "expected a Ray cluster at 127.0.0.1:1, found Connection refused; start"),
    ],
)
def test_where_no_cluster_is_ray_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ray_client.ClusterError, match=re.escape(said)):
        ray_client.connect("auto")


class Cluster:
    """What a client asks of Ray, which has no place for its actor at first."""

    exceptions = SimpleNamespace(RayError=OSError, GetTimeoutError=TimeoutError)
    _private = SimpleNamespace(
        state=SimpleNamespace(
            available_resources_per_node=lambda: {"b": {"GPU": 1.0}, "c": {"GPU": 2.0}}
        )
    )

    def __init__(self, alive: str, at: str = "abc") -> None:
        self.alive, self.at = alive, at
        self.waits = 3
        self.asked: list[str] = []
        call = SimpleNamespace(remote=lambda *_: "call")
        self.actor = SimpleNamespace(__ray_ready__=call, read=call, write=call)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "NodeManagerAddress": ip, "Alive": name in self.alive}
            for name, ip in zip("abc", self.at, strict=True)
        ]

    def remote(self, _: object) -> Any:
        return SimpleNamespace(
            options=lambda **needed: SimpleNamespace(remote=lambda script: self.begin(needed))
        )

    def begin(self, needed: dict[str, Any]) -> Any:
        self.asked.append(needed["on"])
        return self.actor

    def kill(self, actor: object) -> None:
        self.asked.append("killed")

    def wait(self, asked: list[object], timeout: float) -> tuple[list[object], list[object]]:
        self.waits -= 1
        return ([], asked) if self.waits else (asked, [])

    def get(self, call: object, timeout: float | None = None) -> Any:
        assert self.waits == 0, "it did not wait for a place"
        return b"", b"", True


def test_an_actor_without_a_place_waits_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its end would count as the loss of the worker, and a few of these end a launch."""
    handlers = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray_client, "connect", lambda address: Cluster("a"))
    monkeypatch.setattr(ray_client, "_on", lambda node: {"on": node})
    monkeypatch.setattr(ray_client, "_QUEUED", 0.0)
    try:
        ray_client.carry("a:1", "true", 2, 0, ["a@a"], 1)
    finally:
        signal.signal(signal.SIGTERM, handlers)
    assert capfd.readouterr().err.count("an actor waits for 2 free GPUs; see: ray status\n") == 2


def test_a_full_disk_under_its_log_is_not_the_end_of_a_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the worker says last has still to be carried."""
    handlers, log = signal.getsignal(signal.SIGTERM), os.dup(2)
    cluster = Cluster("a")
    answers = iter([None, (b"", b"a traceback", False), (b"its last word", b"", True)])
    monkeypatch.setattr(cluster, "get", lambda call, timeout=None: next(answers, None))
    monkeypatch.setattr(ray_client, "connect", lambda address: cluster)
    monkeypatch.setattr(ray_client, "_on", lambda node: {"on": node})
    monkeypatch.setattr(ray_client, "_write", lambda *_: None)
    ours, theirs = os.pipe()
    try:
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), 2)
        ray_client.carry("a:1", "true", 2, 0, ["a@a"], theirs)
    finally:
        os.dup2(log, 2)
        os.close(log)
        os.close(theirs)
        signal.signal(signal.SIGTERM, handlers)
    with open(ours, "rb") as said:
        assert said.read() == b"its last word"


def test_a_worker_moves_only_to_nodes_that_were_asked() -> None:
    def living(alive: str) -> str:
        return ray_client._living(Cluster(alive), ["a@a", "b@b"], "GPU")

    assert living("abc") == "a"
    assert living("bc") == "b"
    assert ray_client._living(Cluster("bc"), ["a@a", "b@b", "c@c"], "GPU") == "c"
    with pytest.raises(ray_client.ClusterError, match="found none alive"):
        living("c")


def test_a_node_that_has_joined_again_is_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of an actor that waits elsewhere meanwhile."""
    monkeypatch.setattr(ray_client, "_on", lambda node: {"on": node})
    assert ray_client._living(Cluster("bc", at="aba"), ["a@a", "b@b"], "GPU") == "c"
    assert ray_client._living(Cluster("abc", at="aba"), ["a@a", "b@b"], "GPU") == "a"
    cluster = Cluster("b", at="aba")

    def wait(asked: list[object], timeout: float) -> tuple[list[object], list[object]]:
        there, cluster.alive = len(cluster.alive) > 1, "bc"
        return (asked, []) if there else ([], asked)

    cluster.wait, cluster.waits = wait, 0  # type: ignore[method-assign]
    assert ray_client._placed(cluster, "true", 1, 0, ["a@a", "b@b"]) is cluster.actor
    assert cluster.asked == ["b", "killed", "c"]


def test_clients_alone_import_ray() -> None:
    package = Path(ray_client.__file__).parents[2]
    sources = {path.name: path.read_text() for path in package.rglob("*.py")}
    imports = re.compile(r"^\s*(import ray\b|from ray\b)", re.M)
    assert [name for name, text in sources.items() if imports.search(text)] == ["ray_client.py"]
