"""Import Optuna without tqdm, which only its progress bar needs: a third of the time it takes."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["import_optuna"]

_MODULE = "tqdm.auto"


class _Tqdm:
    """What Optuna's progress bar has instead, and by which it comes to tqdm when it is shown."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _tqdm()(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(_tqdm(), name)


def _tqdm() -> Any:
    return import_module(_MODULE).tqdm


def import_optuna() -> None:
    """As `import optuna`, for a process whose first import of it this is.

    Nobody else meets the stand-in: whoever imports tqdm afterwards gets tqdm.
    """
    if "optuna" not in sys.modules and _MODULE not in sys.modules:
        stand_in = ModuleType(_MODULE)
        stand_in.__dict__["tqdm"] = _Tqdm()
        sys.modules[_MODULE] = stand_in
        try:
            import optuna  # noqa: F401
        finally:
            del sys.modules[_MODULE]
