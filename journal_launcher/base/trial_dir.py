"""A trial's own folder, as its objective and whatever that starts find it."""

import os
from pathlib import Path

from journal_launcher.base.errors import UsageError

__all__ = ["TRIAL_DIR", "mark_of", "trial_dir"]

TRIAL_DIR = "JL_TRIAL_DIR"
"""The variable of the environment that names the folder while a trial runs."""


def trial_dir() -> Path:
    """Return the folder of the running trial, absolute, and make it on first use.

    For an objective, the processes that it starts, and `save_best`, which gets the best trial's.
    A trial that is run again after an interruption or a retry finds there what it wrote before.

    Raises:
        UsageError: no trial runs here.
    """
    named = os.environ.get(TRIAL_DIR)
    if named is None:
        raise UsageError(
            f"trial_dir(): expected a running trial of a launch, found no {TRIAL_DIR} in the "
            f"environment; to try the code alone, set {TRIAL_DIR} to a folder"
        )
    folder = Path(named)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        mark_of(folder).touch(mode=0o600)  # first: a folder without it counts as the user's own
        folder.mkdir(exist_ok=True)
    return folder


def mark_of(folder: Path) -> Path:
    """What lies beside a folder that a trial made: the folder itself is the trial's."""
    return folder.with_name(f".{folder.name}")
