"""What an objective sets, reports and returns: numbers of NumPy, and what is no number at all."""

import json

from launcher.harness import Workshop

from journal_launcher.base import events

NUMBERS = """
import numpy as np

def objective(trial):
    trial.set_user_attr("accuracy", np.float32(0.5))
    trial.set_user_attr("curve", {"loss": [np.float32(0.25), np.array(2)], "best": np.bool_(True)})
    trial.report(np.float32(0.75), np.int64(3))
    trial.set_constraint("memory", np.float32(-1))
    trial.study.set_user_attr("n_rows", np.int64(10))
    return np.float32(0.125)
"""


def test_numbers_of_numpy_are_kept_as_plain_numbers(workshop: Workshop) -> None:
    workshop.write(NUMBERS)
    assert workshop.launch(n_trials=1).exit_code == 0
    (trial,) = workshop.trials()
    own = {key: value for key, value in trial.user_attrs.items() if not key.startswith("jl_")}
    assert own == {"accuracy": 0.5, "curve": {"loss": [0.25, 2], "best": True}}
    assert (trial.intermediate_values, trial.value) == ({3: 0.75}, 0.125)
    assert workshop.study().user_attrs["n_rows"] == 10
    json.dumps(own)


def test_what_is_not_json_fails_its_trial_in_one_line_and_the_launch_goes_on(
    workshop: Workshop,
) -> None:
    workshop.write(
        """
import numpy as np

def objective(trial):
    if trial.number == 1:
        trial.set_user_attr("history", np.zeros(3))
    return 0.5
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    assert workshop.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    ended = [event.reason for event in workshop.of(events.TrialEnded) if event.state == "FAIL"]
    expected = "expected numbers, text, lists and dictionaries, found ndarray of shape (3,)"
    at = workshop.place("np.zeros")
    assert ended == [f"TypeError: trial 1, attribute 'history': {expected} {at}"]
    debugged = workshop.run("--debug", "--objective", workshop.reference)
    assert debugged.code == 0, "trial 0 sets none"


def test_debug_says_what_a_launch_could_not_keep(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    trial.set_user_attr('a', {1, 2})\n    return 0.5\n")
    ended = workshop.run("--debug")
    assert ended.code == 1 and "trial 0, attribute 'a': expected numbers" in ended.err
