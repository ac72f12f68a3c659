"""What a table's options choose from."""

__all__ = ["CLASSIFICATION_METRICS", "CPU_MODEL_TYPES", "METRICS", "MODEL_TYPES"]

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
CPU_MODEL_TYPES = ("hist_gradient_boosting", "linear")  # no GPU makes them faster
MODEL_TYPES = ("neural_net", "catboost", "hist_gradient_boosting", "linear")
