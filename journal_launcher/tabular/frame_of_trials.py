"""The trials of a study as a DataFrame."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["frame_of"]


def frame_of(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """A row for each trial, (trials, columns); what a trial lacks is missing, None or NaN."""
    return pd.DataFrame(dict(columns))
