"""pytabkit's vectorised cross-validation: all folds in one call, as batched networks.

The nearest thing to our trainer, with a recipe of its own: RealMLP's preprocessing, weights and
schedule, without its embeddings. Width, layers, dropout, batch and epochs are the same.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from plain import Recipe
from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor
from torch import Tensor

from journal_launcher.tabular.data.dataset import Dataset, Features
from journal_launcher.tabular.models.neural_net.encoding import EncodedFold

__all__ = ["Folds"]


class Folds:
    """A way of trainer.py that reads the table itself, because pytabkit encodes it as it trains."""

    def __init__(self, dataset: Dataset) -> None:
        rows = np.concatenate([fold.valid for fold in dataset.folds])
        ends = np.cumsum([len(fold.valid) for fold in dataset.folds])
        self._valid = np.split(np.arange(len(rows)), ends[:-1])
        self._table, self._target = _frame(dataset.features.take(rows)), dataset.target[rows]
        self._regression = dataset.schema.task == "regression"

    def __call__(
        self, folds: list[EncodedFold], recipe: Recipe, device: torch.device
    ) -> list[Tensor]:
        kind: Any = RealMLP_TD_Regressor if self._regression else RealMLP_TD_Classifier
        model = kind(
            device=str(device),
            random_state=0,
            n_threads=1,
            n_cv=len(folds),
            n_epochs=recipe.epochs,
            batch_size=recipe.batch,
            hidden_sizes=[recipe.net.width] * recipe.net.layers,
            p_drop=recipe.net.dropout,
            num_emb_type="none",
            act="relu",
            use_parametric_act=False,
        )
        # It wants as many validation rows in every fold; one or two others are trained on.
        smallest = min(map(len, self._valid))
        equal = np.stack([rows[:smallest] for rows in self._valid])
        model.fit(self._table, self._target, val_idxs=equal)
        found = []
        for number, (rows, fold) in enumerate(zip(self._valid, folds, strict=True)):
            if fold.scaling is None:  # logarithms of probabilities, whose softmax they are
                output = np.log(model.predict_proba_ensemble(self._table.iloc[rows])[number])
            else:
                output = model.predict_ensemble(self._table.iloc[rows])[number, :, None]
                output = (output - fold.scaling.mean) / fold.scaling.std
            found.append(torch.from_numpy(output))
        return found


def _frame(features: Features) -> pd.DataFrame:
    """Missing numbers become the median of all rows: pytabkit takes none."""
    numbers = pd.DataFrame(features.numbers)
    table = numbers.fillna(numbers.median())
    for number, codes in enumerate(features.codes.T):
        table[f"category {number}"] = pd.Categorical(codes)
    return table.rename(columns=str)
