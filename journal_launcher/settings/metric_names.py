"""The metrics that score a table: by task, with the direction in which they are better."""

__all__ = ["CLASSIFICATION_METRICS", "METRICS", "NEED_TWO_TARGETS", "REGRESSION_METRICS"]

# Metric -> direction.
REGRESSION_METRICS = {
    "r2": "maximize",
    "rmse": "minimize",
    "mae": "minimize",
}
CLASSIFICATION_METRICS = {
    "log_loss": "minimize",
    "roc_auc": "maximize",
    "accuracy": "maximize",
    "balanced_accuracy": "maximize",
    "f1_macro": "maximize",
    "average_precision": "maximize",
}
METRICS = {**REGRESSION_METRICS, **CLASSIFICATION_METRICS}
NEED_TWO_TARGETS = ("r2", "roc_auc", "average_precision")
"""Undefined for rows that all have the same target."""
