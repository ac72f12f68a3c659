"""The user's callbacks: called after every trial, in the worker that ran it."""

from launcher.harness import Workshop

CALLBACKS = """
import optuna

def write_down(study, trial):
    with open(HERE / "seen", "a") as seen:
        best = study.best_value if trial.number else ""
        seen.write(f"{trial.number} {trial.state.name} {best}\\n")

def stop_at_third(study, trial):
    if trial.number == 2:
        study.stop()

patience = optuna.study.MaxTrialsCallback(2)

def fail(study, trial):
    raise RuntimeError("this callback is broken")

def objective(trial):
    if trial.number == 1:
        raise KeyError("one")
    return float(trial.number)
"""


def named(shop: Workshop, name: str) -> str:
    return shop.reference.replace(":objective", f":{name}")


def test_callbacks_see_every_trial_and_may_stop_the_launch(workshop: Workshop) -> None:
    workshop.write(CALLBACKS)
    callbacks = [named(workshop, name) for name in ("write_down", "stop_at_third")]
    result = workshop.launch(callback=callbacks, n_trials=9)
    assert (result.exit_code, result.exit_reason) == (0, "stopped")
    assert workshop.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert (workshop.folder / "seen").read_text() == "0 COMPLETE \n1 FAIL 0.0\n2 COMPLETE 0.0\n"
    assert workshop.paths.sidecar.exists()


def test_a_callback_object_of_optuna(workshop: Workshop) -> None:
    workshop.write(CALLBACKS)
    ended = workshop.run("--n-trials", "9", "--callback", named(workshop, "patience"))
    assert ended.code == 0 and workshop.states().count("COMPLETE") == 2


def test_a_callback_that_raises_ends_the_launch_and_keeps_the_trial(workshop: Workshop) -> None:
    workshop.write(CALLBACKS)
    result = workshop.launch(callback=named(workshop, "fail"), n_trials=9)
    assert result.exit_code == 1 and "this callback is broken" in str(result.message)
    assert workshop.states() == ["COMPLETE"]
