"""Times as they are written down."""

import time
from datetime import UTC, datetime

__all__ = ["utc"]


def utc(seconds: float | None = None, precision: str = "seconds") -> str:
    """Seconds since 1970 (default: now) as UTC in ISO 8601 with Z."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
