"""A Lightning module with pruning; the best one's checkpoint is saved.

journal-launcher run --objective examples/lightning_fit.py:objective --pruner median --n-trials 10
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import optuna
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Regression(L.LightningModule):
    """A small network that learns y = sin(3 x)."""

    def __init__(self, lr: float, width: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch
        return nn.functional.mse_loss(self.net(x), y)

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        x, y = batch
        self.log("loss", nn.functional.mse_loss(self.net(x), y))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Pruning(L.Callback):
    """Report the validation loss to Optuna after each epoch."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.trial.report(trainer.callback_metrics["loss"].item(), trainer.current_epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def rows(count: int, seed: int) -> DataLoader[Any]:
    x = torch.rand(count, 1, generator=torch.Generator().manual_seed(seed)) * 4 - 2
    return DataLoader(TensorDataset(x, (3 * x).sin()), batch_size=64)


def fit(params: Mapping[str, Any], callbacks: list[L.Callback]) -> L.Trainer:
    L.seed_everything(0, verbose=False)
    # One device: the worker's own. Trials write no files, so no logger and no checkpoints.
    trainer = L.Trainer(
        max_epochs=8,
        accelerator="auto",
        devices=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Regression(**params), rows(512, seed=1), rows(256, seed=2))
    return trainer


def objective(trial: optuna.Trial) -> float:
    params = {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "width": trial.suggest_int("width", 4, 64, log=True),
    }
    return float(fit(params, [Pruning(trial)]).callback_metrics["loss"])


def save_best(study: optuna.Study, directory: Path) -> None:
    fit(study.best_params, []).save_checkpoint(directory / "best.ckpt")
