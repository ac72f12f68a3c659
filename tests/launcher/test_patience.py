"""`--patience N`: done when N finished trials brought nothing better, whoever counts."""

import textwrap

from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.views.summary import summary

FALLING = """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    return max(1.0, 3.0 - trial.number)
"""


def test_it_is_done_and_stays_done(workshop: Workshop) -> None:
    workshop.write(FALLING)
    result = workshop.launch(n_trials=50, patience=4)
    assert len(workshop.trials()) == 3 + 4
    said = "4 finished trials in a row brought nothing better than trial 2 (--patience)"
    assert (result.exit_code, result.exit_reason, result.message) == (0, "patience", said)
    ended = workshop.of(events.LaunchEnded)[0]
    headline, rows = summary(ended)
    assert headline.startswith(f"study done ({said}): 7 of 50 trials finished")
    assert dict(rows)["go on"] == (
        "with a larger --patience, or without it, the same command goes on"
    )
    assert result.model_path is not None

    again = workshop.launch(n_trials=50, patience=4, workers=2)
    assert (again.exit_code, again.message) == (0, said) and len(workshop.trials()) == 7
    assert len(workshop.of(events.WorkerStarted)) == 1  # for what may be left to publish
    # What is queued meanwhile waits: the same command trains nothing.
    workshop.study().enqueue_trial({"x": 0.5})
    workshop.launch(n_trials=50, patience=4)
    ended = workshop.of(events.LaunchEnded)[0]
    assert dict(summary(ended)[1])["waiting"] == "1 queued trial, for a larger --patience"
    assert workshop.launch(n_trials=50, patience=5).exit_code == 0
    assert len(workshop.trials()) == 8
    result = workshop.launch(n_trials=10)
    assert (result.exit_reason, len(workshop.trials())) == ("complete", 10)
    result = workshop.launch(n_trials=10, patience=4)
    assert (result.exit_reason, result.message) == ("complete", None)


def test_workers_count_together_and_what_runs_may_still_be_better(workshop: Workshop) -> None:
    """Trial 1 runs until the others are out of patience; it is better, so they go on."""
    workshop.write(
        """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    if trial.number == 1:
        told("go")
        return 0.0
    return 1.0
"""
    )

    def watch(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded) and event.number == 3:
            workshop.tell("go")

    result = workshop.launch(watch, n_trials=50, patience=3, workers=2)
    assert result.exit_reason == "patience" and "better than trial 1 (" in str(result.message)
    trials = workshop.trials()
    later = [t for t in trials if t.datetime_complete > trials[1].datetime_complete]
    assert 3 <= len(later) <= 4  # one of two workers may have been at its trial


def test_of_several_objectives(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return min(trial.number, 2), 1.0\n")
    result = workshop.launch(n_trials=50, patience=3, direction=["maximize", "minimize"])
    assert len(workshop.trials()) == 3 + 3
    assert result.message == (
        "3 finished trials in a row brought no better Pareto front (--patience)"
    )


def test_from_the_command_line_and_the_config_file(workshop: Workshop) -> None:
    workshop.write(FALLING)
    ended = workshop.run("--n-trials", "50", "--patience", "2", "-q")
    assert ended.code == 0 and "brought nothing better than trial 2" in ended.err
    (workshop.folder / "c.toml").write_text(textwrap.dedent("n_trials = 50\npatience = 2\n"))
    ended = workshop.run("--config", "c.toml")
    assert ended.code == 0 and "all of them before" in ended.err
    ended = workshop.run("--patience", "0")
    assert ended.code == 2 and "--patience: expected 1 or more, found 0" in ended.err
