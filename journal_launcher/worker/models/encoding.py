"""Tables as a network reads them, and its outputs as predictions."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from journal_launcher.worker.models import FoldData, Predictions
from journal_launcher.worker.models.training import Rows
from journal_launcher.worker.preprocessing import Encoder
from journal_launcher.worker.table import Features

__all__ = ["EncodedFold", "Scaling", "encode", "encode_folds", "place", "predictions"]

_logger = logging.getLogger("journal_launcher.worker")

_SHARE = 0.5
"""Of a GPU's free memory that the rows may take; other workers may be about to take theirs."""


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the training rows' target (a regression's)."""

    mean: float
    std: float


@dataclass(frozen=True)
class EncodedFold:
    """One fold. valid: (rows, inputs)."""

    scaling: Scaling | None
    train: Rows
    valid: Tensor


def encode(
    features: Features, target: NDArray[np.float64], regression: bool, scale: bool
) -> tuple[Encoder, Rows, Scaling | None]:
    """Fit an encoder, and for a regression a scaling, and apply them to the rows they saw."""
    encoder, scaling = Encoder.fit(features, scale), None
    if regression:
        scaling = Scaling(float(target.mean()), float(target.std()) or 1.0)
        y = torch.from_numpy((target - scaling.mean) / scaling.std).float()
    else:
        y = torch.from_numpy(target).long()
    return encoder, Rows(torch.from_numpy(encoder.transform(features)), y[:, None]), scaling


def encode_folds(
    folds: Sequence[FoldData], regression: bool, scale: bool, device: torch.device
) -> list[EncodedFold]:
    """Every fold with an encoder of its own, equally wide, on the device if all fit there."""
    encoded = [encode(fold.train, fold.train_target, regression, scale) for fold in folds]
    widest = max(encoder.width for encoder, _, _ in encoded)
    tensors: list[Tensor] = []
    for fold, (encoder, rows, _) in zip(folds, encoded, strict=True):
        valid = torch.from_numpy(encoder.transform(fold.valid))
        # Folds may differ in their rare categories; a column of zeros changes nothing.
        missing = (0, widest - encoder.width)
        tensors += [functional.pad(rows.x, missing), rows.y, functional.pad(valid, missing)]
    placed = place(tensors, device)
    return [
        EncodedFold(scaling, Rows(x, y), valid)
        for (_, _, scaling), x, y, valid in zip(
            encoded, placed[::3], placed[1::3], placed[2::3], strict=True
        )
    ]


def place(tensors: list[Tensor], device: torch.device) -> list[Tensor]:
    """Move them to the device, or leave all on the host, and say so, if they would fill it."""
    if device.type == "cuda":
        needed = sum(tensor.nbytes for tensor in tensors)
        free, _ = torch.cuda.mem_get_info(device)
        if needed > _SHARE * free:
            _logger.warning(
                "the encoded rows need %.3g GB, of the GPU's memory %.3g GB are free: they stay in "
                "the host's memory and stream to the GPU, which is slower",
                needed / 1e9,
                free / 1e9,
            )
            return tensors
    return [tensor.to(device) for tensor in tensors]


def predictions(output: Tensor, scaling: Scaling | None) -> Predictions:
    """Values in the target's units, (rows,), or without scaling probabilities (rows, classes)."""
    output = output.cpu().double()
    if scaling is None:
        found = output.softmax(dim=1)
    else:
        found = output.squeeze(1) * scaling.std + scaling.mean
    return np.asarray(found.numpy(), dtype=np.float64)
