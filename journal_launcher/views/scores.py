"""All metrics of a published model: on folds and on the hold-out."""

from typing import Any

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.views.figures import number

__all__ = ["scores_json", "scores_text"]


def scores_text(sidecar: Sidecar, *, without: str | None = None) -> str:
    """Every metric but `without`: on the fresh folds, or those that chose, and on the hold-out."""
    fresh = sidecar.confirmed.metrics
    found = {
        "fresh folds" if fresh else "folds": fresh or sidecar.cv_metrics,
        "hold-out": sidecar.holdout.metrics,
    }
    parts = []
    for where, metrics in found.items():
        scores = {name: score for name, score in (metrics or {}).items() if name != without}
        known = [f"{name} {number(score)}" for name, score in scores.items() if score is not None]
        parts += [f"{', '.join(known)} ({where})"] if known else []
    return "; ".join(parts)


def scores_json(sidecar: Sidecar) -> dict[str, Any] | None:
    """{"folds", "fresh_folds", "holdout"}: of each every metric by name, or null."""
    found = {
        "folds": sidecar.cv_metrics,
        "fresh_folds": sidecar.confirmed.metrics,
        "holdout": sidecar.holdout.metrics,
    }
    return found if any(found.values()) else None
