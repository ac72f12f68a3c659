"""A plain function: nothing but Optuna.

journal-launcher run --objective examples/plain_function.py:objective --n-trials 20
"""

import math

import optuna


def objective(trial: optuna.Trial) -> float:
    """Himmelblau's function, which has four minima of 0."""
    x = trial.suggest_float("x", -6, 6)
    y = trial.suggest_float("y", -6, 6)
    trial.set_user_attr("radius", math.hypot(x, y))
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
