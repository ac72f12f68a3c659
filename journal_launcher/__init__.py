"""Run an Optuna study on every GPU of a machine: one pinned process per GPU, one shared journal.

The names below load on first use, so that importing the package costs nothing:

- `launch(...)`: one launch from Python, the same as `journal-launcher run`.
- `load_model(path)`: the published best model of a study, ready to predict.
- `trial_dir()`: in an objective, the running trial's own folder, which outlives interruptions.
- `DurableJournalFileBackend(path)`: the crash-safe journal, a drop-in for any Optuna script.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from journal_launcher.api import launch, load_model
    from journal_launcher.base.trial_dir import trial_dir
    from journal_launcher.study.journal.backend import DurableJournalFileBackend

__version__ = "0.1.0"

__all__ = ["DurableJournalFileBackend", "__version__", "launch", "load_model", "trial_dir"]

_HOMES = {
    "launch": "journal_launcher.api",
    "load_model": "journal_launcher.api",
    "trial_dir": "journal_launcher.base.trial_dir",
    "DurableJournalFileBackend": "journal_launcher.study.journal.backend",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
