"""Scripts that are pruned, stopped or killed: no process of theirs stays, and no folder."""

import os
import signal
from typing import Any

import psutil
import pytest
from launcher.harness import finish, wait_until
from launcher.scripts import SPACE, ScriptShop, scripts

from journal_launcher.base import events

__all__ = ["scripts"]

# The first trial is quick. Each other one has a child in its group and waits until it is told.
PATIENT = """
note(f"found {DIR.name}", sorted(path.name for path in DIR.iterdir()))
(DIR / "weights").write_text(sys.argv[1])
if (HERE / "first").exists():
    child = subprocess.Popen(["sleep", "1000"])
    note("running", f"{os.getpid()} {child.pid}")
    print("epoch 1 loss 5", flush=True)
    told("go")
note("first")
print(sys.argv[1])
"""
REPORT = {"pattern": r"epoch (?P<step>\d+) loss (?P<value>\S+)"}


def gone(pids: list[int]) -> bool:
    living = (psutil.Process(pid) for pid in pids if psutil.pid_exists(pid))
    return all(process.status() == psutil.STATUS_ZOMBIE for process in living)


def running(scripts: ScriptShop) -> list[int]:
    return [int(word) for word in scripts.shop.noted("running").split()]


def check_the_best_is_all_that_is_left(scripts: ScriptShop) -> None:
    best = scripts.shop.study().best_trial
    assert scripts.published() == {"weights": str(best.params["x"])}
    assert scripts.shop.sidecar()["trial"] == best.number
    assert not scripts.shop.paths.trials.exists()


def test_a_pruned_script_ends_with_its_children_deaf_ones_too(scripts: ScriptShop) -> None:
    scripts.write(
        """
(DIR / "weights").write_text(sys.argv[1])
if not (HERE / "first").exists():
    note("first")
    print(sys.argv[1])
    sys.exit()
deaf = "import signal, time; signal.signal(15, 1); print('deaf', flush=True); time.sleep(1000)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
child.stdout.readline()
signal.signal(15, lambda *_: (note("told to stop"), sys.exit(0)))
note("running", f"{os.getpid()} {child.pid}")
print("epoch 1 loss 5", flush=True)
time.sleep(1000)
"""
    )
    (scripts.shop.folder / "mine.py").write_text(
        "from optuna.pruners import ThresholdPruner\npruner = ThresholdPruner(upper=1)\n"
    )
    result = scripts.launch(report=REPORT, pruner="mine.py:pruner", n_trials=2)
    assert result.exit_code == 0
    assert scripts.shop.states() == ["COMPLETE", "PRUNED"]
    assert scripts.shop.trials()[1].intermediate_values == {1: 5.0}
    assert scripts.shop.noted("told to stop") == "" and gone(running(scripts))
    check_the_best_is_all_that_is_left(scripts)


def test_a_script_over_its_time_is_killed_with_its_tree_and_retried(scripts: ScriptShop) -> None:
    scripts.write(PATIENT)
    result = scripts.launch(n_trials=3, trial_timeout=0.6, max_retries=1, max_failures=1)
    assert result.exit_code == 1
    reasons = [t.user_attrs.get("jl_fail_reason") for t in scripts.shop.trials()]
    assert reasons == [None, *["trial timeout after 0.6 s"] * 2]
    wait_until(lambda: gone(running(scripts)), 1)
    assert scripts.trials == ["0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_scripts_and_the_same_command_goes_on(
    scripts: ScriptShop, number: signal.Signals
) -> None:
    scripts.write(PATIENT)
    options = scripts.configured("--n-trials", "3")
    process = scripts.shop.start(*options, command=True)
    pids = running(scripts)
    assert scripts.trials == ["0", "1"]
    process.send_signal(number)
    ended = finish(process)
    assert ended.code == (75 if number == signal.SIGTERM else 130) and "Traceback" not in ended.err
    assert "running trials have 5 s to end" in ended.err, "a script has less than its worker"
    assert gone(pids) and scripts.trials == ["0", "1"]
    scripts.shop.tell("go")
    assert scripts.shop.run(*options, command=True).code == 0
    assert scripts.shop.states().count("COMPLETE") == 3
    assert scripts.shop.noted("found 1") == "['weights']", "who repeats trial 1 has its folder"
    check_the_best_is_all_that_is_left(scripts)


def test_a_killed_worker_takes_its_script_along_and_the_trial_is_retried(
    scripts: ScriptShop,
) -> None:
    scripts.write(PATIENT)
    killed: list[list[int]] = []

    def kill(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number == 1:
            killed.append(running(scripts))
            os.kill(scripts.shop.owner_pid(1), signal.SIGKILL)
        if isinstance(event, events.TrialEnded) and event.number == 1:
            wait_until(lambda: gone(killed[0]), 1)  # the kernel may still be at it
            scripts.shop.tell("go")

    assert scripts.launch(kill, n_trials=2).exit_code == 0
    assert scripts.shop.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    first, again = scripts.shop.trials()[1:]
    assert first.params == again.params and again.system_attrs["retry_history"] == [1]
    check_the_best_is_all_that_is_left(scripts)


def test_after_a_kill_of_the_parent_nothing_runs_and_the_same_command_finishes(
    scripts: ScriptShop,
) -> None:
    scripts.write(PATIENT)
    options = scripts.configured("--n-trials", "5", "--workers", "2")
    process = scripts.shop.start(*options, command=True)
    pids = running(scripts)
    process.kill()
    finish(process)
    wait_until(lambda: gone(pids), 1)
    assert len(scripts.trials) >= 2  # they stay, until somebody holds the study again
    scripts.shop.tell("go")
    ended = scripts.shop.run(*options, command=True)
    assert ended.code == 0, ended.err
    assert scripts.shop.states().count("COMPLETE") == 5
    assert "RUNNING" not in scripts.shop.states()
    check_the_best_is_all_that_is_left(scripts)


def test_a_kill_between_the_last_trial_and_the_save_loses_no_file(scripts: ScriptShop) -> None:
    scripts.write("(DIR / 'weights').write_text(sys.argv[1])\nprint(sys.argv[1])")
    options = scripts.configured("--n-trials", "4")
    code = "from journal_launcher.launcher import model_store; import os; "
    die = code + "model_store.stage = lambda *_: os.kill(os.getpid(), 9)"
    assert scripts.shop.run(*options, first=die, command=True).code == -signal.SIGKILL
    assert scripts.shop.states() == ["COMPLETE"] * 4 and not scripts.shop.paths.sidecar.exists()
    best = scripts.shop.study().best_trial
    assert scripts.trials == [str(best.number)]  # the others could not win any more
    assert scripts.shop.run(*options, command=True).code == 0
    check_the_best_is_all_that_is_left(scripts)


def test_folders_go_as_soon_as_they_cannot_win(scripts: ScriptShop) -> None:
    scripts.write(
        "(DIR / 'weights').write_text(sys.argv[1])\ntold(f'go {DIR.name}')\nprint(sys.argv[1])"
    )
    scripts.shop.tell("go 0")
    seen: list[list[str]] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number > 0:
            finished = scripts.shop.trials()[: event.number]
            best = min(finished, key=lambda trial: trial.value or 0)
            seen.append([name for name in scripts.trials if name != str(event.number)])
            assert seen[-1] == [str(best.number)]
            scripts.shop.tell(f"go {event.number}")

    assert scripts.launch(look, n_trials=5).exit_code == 0
    assert len(seen) == 4
    check_the_best_is_all_that_is_left(scripts)


def test_a_better_trial_of_a_later_launch_replaces_what_was_published(scripts: ScriptShop) -> None:
    scripts.write("(DIR / 'weights').write_text(sys.argv[1])\nprint(sys.argv[1])")
    numbers = set()
    for n_trials in (1, 2, 8):
        assert scripts.launch(n_trials=n_trials).exit_code == 0
        check_the_best_is_all_that_is_left(scripts)
        numbers.add(scripts.shop.sidecar()["trial"])
    assert len(numbers) > 1  # the seed is fixed
    (scripts.shop.paths.best_model_directory / "weights").write_text("changed by hand")
    assert scripts.launch(n_trials=8).exit_code == 0
    assert scripts.published() == {"weights": "changed by hand"}  # it is the best trial's, kept


def test_several_objectives_publish_the_folders_of_the_pareto_front(scripts: ScriptShop) -> None:
    scripts.write(
        """
(DIR / "point").write_text(DIR.name)
x = float(sys.argv[1])
print(x, 1 - x) if int(DIR.name) % 2 else print(7, 7)
"""
    )
    direction = ["minimize", "minimize"]
    for n_trials, front in [(4, {"1", "3"}), (6, {"1", "3", "5"})]:
        assert scripts.launch(n_trials=n_trials, direction=direction).exit_code == 0
        assert scripts.published() == {f"{number}/point": number for number in front}
        points = scripts.shop.sidecar()["pareto_front"]
        assert {str(point["number"]) for point in points} == front
        assert not scripts.shop.paths.trials.exists()


def test_links_in_a_trials_folder_are_published_as_files_or_left_out(scripts: ScriptShop) -> None:
    scripts.write(
        """
(DIR / "epoch_9").write_text("weights")
(DIR / "manifest.json").write_text("{}")
os.symlink("epoch_9", DIR / "last")
os.symlink("/etc/passwd", DIR / "elsewhere")
os.mkfifo(DIR / "pipe")
print(0)
"""
    )
    assert scripts.launch(n_trials=1).exit_code == 0
    found = {"epoch_9": "weights", "last": "weights", "manifest.json": "{}"}
    assert scripts.published() == found
    assert set(scripts.shop.sidecar()["files"]) == {f"best_model/{name}" for name in found}
    log = scripts.shop.paths.worker_log(0).read_text()
    assert "left out of best_model: " in log and "elsewhere\n" in log


def test_a_best_trial_without_a_folder_publishes_its_parameters(scripts: ScriptShop) -> None:
    scripts.write("(DIR / 'weights').touch()\nprint(1 + float(sys.argv[1]))")
    foreign: list[Any] = []

    def join(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and not foreign:
            foreign.append(scripts.shop.study().ask())
            foreign[0].suggest_float("x", SPACE["x"]["low"], SPACE["x"]["high"])
            scripts.shop.study().tell(foreign[0].number, -1.0)

    result = scripts.launch(join, n_trials=3)
    assert result.exit_code == 0 and result.model_path == scripts.shop.paths.sidecar
    assert scripts.shop.sidecar()["trial"] == foreign[0].number and scripts.published() == {}
