"""The child: the only place that imports torch, catboost, sklearn or pandas."""
