"""A PyTorch training loop with pruning, which goes on from checkpoints; the best one is saved.

journal-launcher run --objective examples/torch_loop.py:objective --direction maximize \
    --pruner median --n-trials 20
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import nn

from journal_launcher import trial_dir

EPOCHS = 15
# A worker sees the one GPU that it is pinned to, so this is always the right one.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def rings(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of three rings around each other: (rows, 2), and the ring of each."""
    random = torch.Generator().manual_seed(seed)
    ring = torch.randint(3, (rows,), generator=random)
    radius = 1 + ring + 0.3 * torch.randn(rows, generator=random)
    angle = 2 * torch.pi * torch.rand(rows, generator=random)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return points.to(DEVICE), ring.to(DEVICE)


def network(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 3)).to(DEVICE)


def train(params: Mapping[str, Any], folder: Path, report: Callable[[float, int], None]) -> float:
    """Train with `params`, reporting the validation accuracy after each epoch; return the last.

    A trial that was interrupted goes on from the checkpoint that it left in its `folder`.
    """
    torch.manual_seed(0)
    net = network(params["width"])
    optimizer = torch.optim.AdamW(net.parameters(), lr=params["lr"])
    checkpoint = folder / "checkpoint.pt"
    first, accuracy = 0, 0.0
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=DEVICE)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        first, accuracy = kept["epoch"] + 1, kept["accuracy"]
    x, y = rings(2000, seed=1)
    valid_x, valid_y = rings(1000, seed=2)
    for epoch in range(first, EPOCHS):
        for batch in torch.randperm(len(x)).split(params["batch_size"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (net(valid_x).argmax(dim=1) == valid_y).float().mean().item()
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
        part = folder / "checkpoint.part"  # never half a checkpoint under its name
        torch.save({**state, "epoch": epoch, "accuracy": accuracy}, part)
        part.replace(checkpoint)
        report(accuracy, epoch)
    return accuracy


def objective(trial: optuna.Trial) -> float:
    params = {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "width": trial.suggest_int("width", 4, 64, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
    }

    def report(accuracy: float, epoch: int) -> None:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    return train(params, trial_dir(), report)


def save_best(study: optuna.Study, directory: Path) -> None:
    """Runs once, after the last trial; nothing is trained again."""
    kept = torch.load(trial_dir() / "checkpoint.pt", map_location="cpu")
    torch.save(kept["net"], directory / "weights.pt")
