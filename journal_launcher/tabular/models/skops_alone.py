"""skops.io, only when a model is saved or read, and without what its import loads for nothing.

To list what it trusts, skops lets scikit-learn import all that lies below it: half a second of each
process, and among it what adapts the arrays of other libraries, which holds no estimator: torch
alone costs seconds and 200 MB.
"""

import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

__all__ = ["dump", "load"]

_ADAPTERS = [f"sklearn.externals.array_api_compat.{name}" for name in ("cupy", "dask", "torch")]


def dump(model: Any, path: Path) -> None:
    """Write a fitted estimator of scikit-learn."""
    _skops().dump(model, path, compression=ZIP_DEFLATED)


def load(path: Path, trusted: list[str]) -> Any:
    """The estimator in a file that holds nothing but `trusted` types and those on skops' own list.

    Raises:
        skops.io.exceptions.UntrustedTypesFoundException: it holds others; none was loaded.
    """
    return _skops().load(path, trusted=trusted)


def _skops() -> Any:
    absent: dict[str, Any] = {name: None for name in _ADAPTERS if name not in sys.modules}
    sys.modules.update(absent)  # what is None cannot be imported, which scikit-learn passes over
    try:
        from skops import io
    finally:
        for name in absent:
            del sys.modules[name]
    return io
