"""`--debug` with a script, and with what comes along with an objective."""

import os
import signal

import psutil
import pytest
from launcher.harness import Workshop, finish
from launcher.scripts import ScriptShop, scripts

__all__ = ["scripts"]


def test_a_script_runs_once_in_this_terminal_and_nothing_is_kept(scripts: ScriptShop) -> None:
    scripts.write("(DIR / 'weights').touch()\nprint('in', DIR)\nprint(sys.argv[1])")
    options = scripts.configured("--debug", "--n-trials", "9")
    before = set(scripts.shop.folder.rglob("*"))
    ended = scripts.shop.run(*options, command=True)
    assert ended.code == 0, ended.err
    folder, value, params, result = ended.out.splitlines()
    assert params == f"params: {{'x': {value}}}" and result == f"value: {value}"
    assert not os.path.exists(folder.removeprefix("in "))
    assert set(scripts.shop.folder.rglob("*")) == before


def test_a_failing_script_is_seen_whole(scripts: ScriptShop) -> None:
    scripts.write("raise KeyError('mine')")
    ended = scripts.shop.run(*scripts.configured("--debug"), command=True)
    assert ended.code == 1 and ended.err.count("KeyError: 'mine'") == 1
    assert ended.err.endswith("error: the script exited with 1\n")
    mistake = scripts.configured("--debug", "--command", "nowhere-to-be-found")
    ended = scripts.shop.run(*mistake, command=True)
    assert ended.code == 2 and ended.err.splitlines()[-1].startswith("error: --command: no program")


def test_a_value_that_every_launch_refuses_is_refused(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    trial.suggest_float('x', 0, 1)\n")
    ended = workshop.run("--debug")
    assert ended.code == 1 and "value: None" in ended.out
    said = "in a launch this trial fails: expected a finite number, the objective returned None"
    assert ended.err.endswith(f"error: {said}\n")


def test_a_debugger_works_in_a_script(scripts: ScriptShop) -> None:
    scripts.write("breakpoint()\nprint(sys.argv[1])")
    options = scripts.configured("--gpus", "none")
    assert scripts.shop.debug_with_pdb(*options) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_of_debug_leaves_no_script(scripts: ScriptShop, number: signal.Signals) -> None:
    scripts.write(
        "child = subprocess.Popen(['sleep', '1000'])\nnote('running', child.pid)\ntold('')"
    )
    process = scripts.shop.start(*scripts.configured("--debug"), command=True)
    child = int(scripts.shop.noted("running"))
    process.send_signal(number)
    finish(process)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_an_objective_has_its_arguments_sampler_and_callbacks(workshop: Workshop) -> None:
    workshop.write(
        """
import optuna

sampler = optuna.samplers.GridSampler({"x": [0.25]})

def show(study, trial):
    print("callback", trial.state.name, trial.value)

def objective(trial):
    print("arguments", sys.argv[1:])
    trial.study.stop()
    return trial.suggest_float("x", 0, 1)
"""
    )
    own = [workshop.reference.replace(":objective", f":{name}") for name in ("sampler", "show")]
    ended = workshop.run("--debug", "--sampler", own[0], "--callback", own[1], "--", "-a", "b")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "arguments ['-a', 'b']",
        *("params: {'x': 0.25}", "value: 0.25", "callback COMPLETE 0.25"),
    ]
