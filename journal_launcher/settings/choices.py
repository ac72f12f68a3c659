"""What a table's options choose from."""

__all__ = ["CLASSIFICATION_METRICS", "METRICS"]

# Metric -> direction. The first three score regression, the rest classification.
METRICS = {
    "r2": "maximize",
    "rmse": "minimize",
    "mae": "minimize",
    "log_loss": "minimize",
    "roc_auc": "maximize",
    "accuracy": "maximize",
    "balanced_accuracy": "maximize",
    "f1_macro": "maximize",
    "average_precision": "maximize",
}
CLASSIFICATION_METRICS = tuple(METRICS)[3:]
