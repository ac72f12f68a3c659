"""skops.io, without the libraries that its import loads for nothing.

To list what it trusts, skops lets scikit-learn import all that lies below it. Among that is what
adapts the arrays of other libraries, which holds no estimator: torch alone costs each process
seconds and 200 MB.
"""

import sys
from typing import Any

__all__ = ["skops"]

_ADAPTERS = [f"sklearn.externals.array_api_compat.{name}" for name in ("cupy", "dask", "torch")]
_absent: dict[str, Any] = {name: None for name in _ADAPTERS if name not in sys.modules}

sys.modules.update(_absent)  # what is None here cannot be imported, which scikit-learn passes over
try:
    from skops import io as skops
finally:
    for _name in _absent:
        del sys.modules[_name]
