"""How many workers a GPU gets: decided from what is measured, and then started and let go.

The GPUs are fakes; what their workers cost, in memory and speed, is what the test says.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from launcher.fake_stage import Clock, Stage
from launcher.harness import Workshop, wait_until

from journal_launcher.base import events
from journal_launcher.base.errors import UsageError
from journal_launcher.devices.choose import Device
from journal_launcher.devices.meter import GpuMeter
from journal_launcher.launcher import launch as launch_module
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.packing import TRIALS, Measured, Move, Packer, decide
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.launcher.slot import Phase, Slot
from journal_launcher.settings.launch_settings import LaunchSettings

GIB = 2**30
A = "GPU-aaaaaaaa-0000-4000-8000-000000000000"
NAME = "GPU 0 NVIDIA H100"
ENDED = {"reason": None, "raised": False, "incompatible": False, "stop": False, "seconds": 1.0}


@pytest.mark.parametrize(
    ("workers", "idle", "used", "total", "speed", "before", "move", "why"),
    [
        (1, 0, 30, 80, None, None, Move.WAIT, ""),  # too few trials
        (1, 0, None, 80, 1.0, None, Move.WAIT, ""),  # no reading yet
        (1, 0, 30, 80, 1.0, None, Move.GROW, "one more"),
        (1, 0, 36, 80, 1.0, None, Move.GROW, "one more"),  # 72 of 80: just a tenth is left
        (1, 0, 37, 80, 1.0, None, Move.STAY, "10 % of its memory"),
        (1, 40, 56, 80, 1.0, None, Move.GROW, "one more"),  # others hold 40: 72
        (1, 40, 57, 80, 1.0, None, Move.STAY, "10 % of its memory"),
        (1, 0, 79, 80, 1.0, None, Move.STAY, "10 % of its memory"),  # and never below one
        (1, 0, 0, 0, 1.0, None, Move.STAY, "NVML does not say"),
        (2, 0, 40, 80, None, 1.0, Move.WAIT, ""),
        (2, 0, 40, 80, 1.06, 1.0, Move.GROW, "one more"),
        (2, 0, 40, 80, 1.04, 1.0, Move.SHRINK, "2 were 1.04 times as fast as 1"),
        (2, 0, 49, 80, 1.8, 1.0, Move.STAY, "10 % of its memory"),  # three would need 73.5
        (2, 0, 73, 80, None, 1.0, Move.SHRINK, "with 2 less than 10 %"),  # before any speed
        (2, 0, 73, 80, 1.8, 1.0, Move.SHRINK, "with 2 less than 10 %"),
        (3, 2, 32, 80, 2.5, 1.9, Move.GROW, "one more"),
        (3, 2, 32, 80, 1.9, 1.9, Move.SHRINK, "3 were 1.00 times as fast as 2"),
        (4, 0, 40, 80, 4.0, 3.0, Move.STAY, "no core"),
    ],
)
def test_what_follows_from_what_is_measured(
    workers: int,
    idle: int,
    used: int | None,
    total: int,
    speed: float | None,
    before: float | None,
    move: Move,
    why: str,
) -> None:
    found, said = decide(Measured(workers, idle, used, total, speed, before, most=4))
    assert found is move and why in said


class Packed(Stage):
    """A supervisor of one fake GPU whose packer finds out how many workers it gets.

    speeds: of all workers together, by their number. memory: GiB of each, of 80.
    """

    def __init__(self, clock: Clock, speeds: dict[int, float], memory: float, **options: Any):
        super().__init__(clock, **options)
        self.speeds, self.memory = speeds, memory
        self.number = 0
        device = Device("gpu", A, 0, "NVIDIA H100 80GB HBM3")
        first = WorkerSpec(0, device, 16, {})
        self.pool.slots[0].spec = first
        self.supervisor.packer = Packer([first], 16, self.seen.append)
        self.read(0.0)

    @property
    def packer(self) -> Packer:
        assert self.supervisor.packer is not None
        return self.supervisor.packer

    @property
    def said(self) -> list[str]:
        return [event.text for event in self.seen if isinstance(event, events.Note)]

    def read(self, used: float) -> None:
        self.packer.take([events.GpuLoad(NAME, A, int(used * GIB), 80 * GIB, None)])

    def at_work(self) -> list[int]:
        return [slot.index for slot in self.pool.slots if slot.process is not None]

    def turn(self) -> None:
        self.supervisor._pack()
        super().turn()

    def trials(self, count: int, state: str = "COMPLETE", work: float | None = 1.0) -> None:
        """So many trials of every worker, all at the same time."""
        for _ in range(count):
            self.supervisor._pack()
            for slot in self.pool.slots:
                if slot.phase is Phase.STARTING:
                    self.ready(slot.index)
            self.supervisor._give_work()
            self.supervisor.step()
            self.supervisor._give_work()
            busy = [slot for slot in self.pool.slots if slot.phase is Phase.BUSY]
            self.read(self.memory * len(self.at_work()))
            for slot in busy:
                self.number += 1
                self.process(slot.index).say("started", number=self.number)
            self.supervisor.step()
            self.clock.now += (
                1e4 * len(busy) / self.speeds[len(busy)]
            )  # beside it, waits are nothing
            for slot in busy:
                self.process(slot.index).say(
                    "ended", number=self.number, state=state, work=work, **ENDED
                )
                self.process(slot.index).say("request")
            self.supervisor.step()
        self.supervisor._pack()
        self.supervisor._give_work()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


def test_workers_join_while_the_gpu_gets_faster_and_the_last_one_leaves(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 1.8, 3: 1.82}, memory=10, wanted=1000)
    stage.trials(1 + TRIALS)
    assert stage.said == [f"{NAME}: 1 worker, 10 of 80 GiB; one more is tried"]
    assert stage.at_work() == [0, 1]
    assert [slot.spec.threads for slot in stage.pool.slots] == [16, 8]
    assert stage.pool.slots[1].spec.environment["OMP_NUM_THREADS"] == "8"
    assert stage.pool.slots[1].spec.environment["CUDA_VISIBLE_DEVICES"] == A
    stage.trials(1 + TRIALS)
    assert stage.said[1:] == [
        f"{NAME}: 2 workers, 20 of 80 GiB, 1.8 times one worker's speed; one more is tried"
    ]
    stage.trials(1 + TRIALS)
    why = "3 were 1.01 times as fast as 2"
    assert stage.said[2:] == [
        f"{NAME}: 2 workers, 20 of 80 GiB, 1.8 times one worker's speed; it stays so: {why}"
    ]
    assert stage.process(2).told[-1] == "bye", "it had asked for a trial, and gets none"
    stage.process(2).status = 0
    stage.trials(20)
    assert stage.at_work() == [0, 1] and len(stage.said) == 3
    assert stage.pool.slots[2].phase is Phase.CLOSED
    (load,) = stage.packer.with_workers([events.GpuLoad(NAME, A, 0, 80 * GIB, None)])
    assert (load.workers, load.speedup) == (2, 1.8)


def test_a_worker_that_has_to_leave_ends_its_trial_first(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 1.0}, memory=10, wanted=1000)
    stage.trials(1 + TRIALS + TRIALS)
    last = stage.process(1)
    for slot in stage.pool.slots:
        stage.process(slot.index).say("started", number=100 + slot.index)
    stage.supervisor.step()
    clock.now += 2.0
    for index in (0, 1):
        stage.process(index).say("ended", number=1, state="COMPLETE", work=1.0, **ENDED)
        if index == 0:  # of the other it is not over yet for the parent
            stage.process(index).say("request")
    stage.supervisor.step()
    stage.turns(5)
    assert stage.pool.slots[1].retiring and "bye" not in last.told and "SIGTERM" not in last.told
    last.say("request")
    stage.turns(1)
    assert last.told[-1] == "bye"


def test_no_worker_joins_that_would_leave_too_little_memory(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 2.0}, memory=30, wanted=1000)
    stage.trials(20)
    assert stage.at_work() == [0, 1]
    stays = "it stays so: another would leave less than 10 % of its memory"
    assert stage.said[1:] == [
        f"{NAME}: 2 workers, 60 of 80 GiB, 2.0 times one worker's speed; {stays}"
    ]


@pytest.mark.parametrize("how", ["read", "a trial that failed for it"])
def test_memory_that_gets_short_later_costs_a_worker(clock: Clock, how: str) -> None:
    stage = Packed(clock, {1: 1.0, 2: 2.0}, memory=30, wanted=1000)
    stage.trials(20)
    if how == "read":
        stage.read(73)
    else:
        full = {**ENDED, "reason": "CUDA out of memory: Tried to allocate 2.00 GiB."}
        stage.process(0).say("ended", number=1, state="FAIL", work=None, **full)
        stage.process(0).say("request")
        stage.supervisor.step()
    stage.supervisor._pack()
    assert stage.said[2:] == [
        f"{NAME}: 1 worker, 30 of 80 GiB; it stays so: with 2 less than 10 % of its memory was free"
    ]
    assert [slot.retiring for slot in stage.pool.slots] == [False, True]


def test_what_counts_is_work_and_without_that_complete_trials(clock: Clock) -> None:
    """Trials that the pruner ends are quick, which is no sign that they run faster."""
    stage = Packed(clock, {1: 1.0, 2: 2.0}, memory=10, wanted=1000)
    stage.trials(20, state="PRUNED", work=None)
    stage.trials(20, state="FAIL")
    assert stage.at_work() == [0]
    stage.trials(1 + TRIALS, state="PRUNED", work=50.0)
    assert stage.at_work() == [0, 1]


def test_none_joins_for_fewer_trials_than_there_would_be_workers(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 2.0}, memory=10, wanted=TRIALS + 2)
    stage.trials(TRIALS + 1)
    assert stage.at_work() == [0] and stage.said == []


def test_a_worker_that_could_not_be_used_is_no_reason_to_try_another(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 2.0}, memory=10, wanted=1000)
    stage.trials(1 + TRIALS)
    stage.process(1).say("unusable", message="its compute mode lets one process compute")
    stage.process(1).status = 1
    stage.trials(20)
    assert stage.at_work() == [0] and len(stage.pool.slots) == 2
    assert "going on without it" in stage.said[-1] and stage.supervisor.stop is None


def test_a_worker_that_dies_while_it_should_leave_is_not_started_again(clock: Clock) -> None:
    stage = Packed(clock, {1: 1.0, 2: 1.0}, memory=10, wanted=1000)
    stage.trials(1 + TRIALS)
    stage.trials(1)
    stage.trials(TRIALS - 1)
    stage.read(75)
    stage.supervisor._pack()
    assert stage.pool.slots[1].retiring
    stage.process(1).status = 1
    stage.turns(30)
    assert stage.pool.slots[1].phase is Phase.CLOSED and stage.supervisor.stop is None


# --- what is refused


@pytest.mark.parametrize(
    ("gpus", "options", "said"),
    [
        ([], {}, "--workers-per-gpu: this launch uses no GPU; use --workers N"),
        ([{"uuid": A}], {"gpus": "none"}, "this launch uses no GPU"),
        ([{"uuid": A}], {"model_type": "linear"}, "this launch uses no GPU"),
        ([{"uuid": A}], {"model_type": "catboost"}, "catboost takes the share of a GPU's memory"),
        ([{"uuid": A}], {"objective": "a.py:f", "gpus_per_worker": 2}, "use either"),
        (
            [{"uuid": A}],
            {"workers_per_gpu": "all"},
            "expected a whole number, or auto, found 'all'",
        ),
        ([{"uuid": A}], {"workers_per_gpu": 0}, "--workers-per-gpu: expected 1 or more, found 0"),
    ],
)
def test_where_it_cannot_be_found_out_it_is_refused(
    machine: Callable[..., None], gpus: list[Any], options: dict[str, Any], said: str
) -> None:
    machine(gpus)
    with pytest.raises(UsageError) as caught:
        settings = LaunchSettings(**{"workers_per_gpu": "auto", **options})
        plan_workers(settings, devices_for(settings, {}), 4, {})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_comparison_gives_catboost_one_worker_a_gpu() -> None:
    from journal_launcher.settings.comparison import part

    settings = LaunchSettings(compare_models=True, workers_per_gpu="auto")
    found = {kind: part(settings, kind).workers_per_gpu for kind in ("neural_net", "catboost")}
    assert found == {"neural_net": "auto", "catboost": 1}


# --- real processes

OBJECTIVE = """
SECONDS = {1: 0.3, 2: 0.1, 3: 0.6}  # of a trial, by the number of workers

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    (HERE / f"worker {os.getpid()}").touch()
    at_work = [path for path in HERE.glob("worker *") if alive(path.name.split()[1])]
    time.sleep(SECONDS[len(at_work)])
    if (HERE / "enough").exists():
        trial.study.stop()
    return x

def alive(pid):
    return Path(f"/proc/{pid}").exists()
"""


@pytest.fixture
def gpu(
    machine: Callable[..., None], workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], None]:
    """A machine of one GPU and six cores; each call sets the GiB of its memory in use, of 80."""
    (workshop.folder / "libcuda.so.1").write_text("no library: a real driver would miss this GPU")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(workshop.folder))
    monkeypatch.setattr(launch_module, "available_cores", lambda: 6)
    monkeypatch.setattr(launch_module, "GpuMeter", partial(GpuMeter, period=0.02))
    workshop.write(OBJECTIVE)

    def use(gib: float) -> None:
        machine([{"uuid": A, "name": "NVIDIA H100 80GB HBM3", "used": int(gib * GIB)}])

    use(0)
    return use


def ran(
    shop: Workshop, use: Callable[[float], None], each: float, trials: int | None = None
) -> events.LaunchEnded:
    """A launch whose every worker takes so many GiB from its first trial on.

    Without a number of trials it ends when it is settled, and no worker still has to leave.
    """
    at_work: set[int] = set()

    def listen(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            at_work.add(event.worker)
        if isinstance(event, events.WorkerEnded):
            at_work.discard(event.worker)
        settled = [text for text in said_of_gpu(shop) if "it stays so" in text]
        if (
            settled
            and trials is None
            and ("fast as" not in settled[0] or isinstance(event, events.WorkerEnded))
        ):
            shop.tell("enough")
        use(each * len(at_work))

    use(0.0)
    shop.launch(listen, gpus="auto", workers_per_gpu="auto", n_trials=trials or 10_000)
    ended: events.LaunchEnded = shop.of(events.LaunchEnded)[0]
    return ended


def said_of_gpu(shop: Workshop) -> list[str]:
    return [note.text for note in shop.of(events.Note) if note.text.startswith(NAME)]


def test_a_launch_finds_out_that_two_workers_pay_and_a_third_does_not(
    workshop: Workshop, gpu: Callable[[float], None]
) -> None:
    ended = ran(workshop, gpu, 10.0)
    assert (ended.exit_code, ended.exit_reason) == (0, "stopped")
    assert set(workshop.states()) == {"COMPLETE"}
    assert {trial.user_attrs["jl_worker"] for trial in workshop.trials()} == {0, 1, 2}
    said = said_of_gpu(workshop)
    counts = [int(text.removeprefix(f"{NAME}: ").split()[0]) for text in said]
    assert counts == [1, 2, 2] and "it stays so: 3 were " in said[-1], said
    (load,) = ended.gpus
    assert load.workers == 2 and load.speedup is not None and load.speedup > 1.2
    readings = [event.gpus[0].workers for event in workshop.of(events.GpusMeasured)]
    assert list(dict.fromkeys(readings)) == [1, 2, 3] and readings[-1] == 2
    assert not [event for event in workshop.of(events.WorkerEnded) if event.problem]
    workers = json.loads(workshop.paths.launch_record.read_text())["workers"]
    assert [worker["threads"] for worker in workers] == [6, 3, 2]


def test_a_killed_launch_goes_on_with_its_budget_and_finds_out_anew_what_fits(
    workshop: Workshop, gpu: Callable[[float], None]
) -> None:
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "FAKE_NVML")}
    options = ("--gpus", "auto", "--workers-per-gpu", "auto", "--n-trials", "1000")
    first = workshop.start(*options, environment=environment)
    wait_until(workshop.paths.worker_log(1).exists)
    first.kill()
    first.communicate()
    finished = workshop.states().count("COMPLETE")
    ended = ran(workshop, gpu, 50.0, trials=finished + 8)
    assert ended.exit_code == 0 and ended.n_finished == finished + 8
    assert workshop.states().count("COMPLETE") == finished + 8
    stays = "it stays so: another would leave less than 10 % of its memory"
    assert said_of_gpu(workshop) == [f"{NAME}: 1 worker, 50 of 80 GiB; {stays}"]


def test_a_worker_that_joins_has_the_functions_that_have_no_file(
    workshop: Workshop, gpu: Callable[[float], None]
) -> None:
    def objective(trial: Any) -> float:
        time.sleep(0.1)
        return float(trial.suggest_float("x", 0, 1))

    gpu(1.0)
    done = workshop.launch(objective=objective, gpus="auto", workers_per_gpu="auto", n_trials=30)
    assert done.exit_code == 0, done.message
    assert {trial.user_attrs["jl_worker"] for trial in workshop.trials()} >= {0, 1}


def test_a_gpu_without_workers_is_left_alone_whatever_its_memory_says() -> None:
    devices = [Device("gpu", uuid, index, "NVIDIA H100") for index, uuid in enumerate("AB")]
    specs = [WorkerSpec(index, device, 8, {}) for index, device in enumerate(devices)]
    said: list[events.Event] = []
    packer = Packer(specs, 16, said.append)
    packer.take([events.GpuLoad(uuid, uuid, GIB, 80 * GIB, None) for uuid in "AB"])
    slots = [Slot(spec) for spec in (*specs, packer._one_more(packer._gpus["A"], 2))]
    slots[0].close()
    slots[2].close()
    packer.take([events.GpuLoad("A", "A", 79 * GIB, 80 * GIB, None)])
    assert packer.look(slots, lambda: 10) == [] and said == []
