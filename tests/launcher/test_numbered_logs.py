"""The log of a worker: whose line is which, of objectives and of scripts."""

import re

from launcher.harness import Workshop
from launcher.scripts import ScriptShop, scripts

from journal_launcher.base import events

__all__ = ["scripts"]


def marks(log: str) -> dict[str, str]:
    """What each line says -> which trial it says that it is of; "" for none."""
    found = [re.fullmatch(r"(?:\[trial (\d+)\] )?(.*)", line) for line in log.splitlines()]
    return {match[2]: match[1] or "" for match in found if match is not None}


def test_prints_loggers_and_tracebacks_of_a_trial_carry_its_number(workshop: Workshop) -> None:
    workshop.write(
        """
import logging, optuna, warnings
logging.basicConfig(level=logging.INFO)  # keeps the stream that is there now
print("imported")

def objective(trial):
    print(f"printed {trial.number}")
    logging.info(f"logged {trial.number}")
    optuna.logging.get_logger("optuna").warning(f"of optuna {trial.number}")
    if trial.number == 1:
        raise ValueError("mine")
    return 0.5

def save_best(study, directory):
    print("saving")
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    found = marks(workshop.paths.worker_log(0).read_text())
    assert found["imported"] == found["saving"] == ""
    for number in "012":
        assert found[f"printed {number}"] == found[f"INFO:root:logged {number}"] == number
        assert [m for text, m in found.items() if f"of optuna {number}" in text] == [number]
    assert found["ValueError: mine"] == found["Traceback (most recent call last):"] == "1"


def test_what_a_script_prints_carries_its_trials_number(scripts: ScriptShop) -> None:
    scripts.write(
        """
import sys
print("starts", DIR.name, flush=True)
sys.stderr.write(f"half {DIR.name}"); sys.stderr.flush()
sys.stderr.write(f" and half {DIR.name}\\n"); sys.stderr.flush()
os.write(1, b"bytes \\xff\\n")
print("0.5", end="")
"""
    )
    assert scripts.launch(n_trials=2).exit_code == 0
    raw = scripts.shop.paths.worker_log(0).read_bytes()
    for number in (b"0", b"1"):
        mark = b"[trial " + number + b"] "
        assert mark + b"starts " + number + b"\n" in raw
        assert b"half " + number + b" and half " + number + b"\n" in raw
        assert mark + b"bytes \xff\n" in raw


def test_a_retry_names_what_it_repeats(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5
"""
    )
    assert workshop.launch(n_trials=3).exit_code == 0
    repeats = [trial.user_attrs.get("jl_repeats") for trial in workshop.trials()]
    assert repeats == [None, None, 1, None]
    assert [event.repeats for event in workshop.of(events.TrialStarted)] == repeats
    ended = workshop.of(events.TrialEnded)
    assert [(event.number, event.queued_as) for event in ended] == [
        *((0, None), (1, 2), (2, None), (3, None))
    ]
