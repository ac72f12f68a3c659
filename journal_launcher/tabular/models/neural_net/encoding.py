"""Tables as a network reads them, and its outputs as predictions."""

import hashlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from journal_launcher.devices.own_gpu import measuring
from journal_launcher.tabular.data.arrays import are_stored, map_arrays, one_at_a_time, store
from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import FoldData, Predictions, RowWeights
from journal_launcher.tabular.models.neural_net.step import TensorRows
from journal_launcher.tabular.preprocessing import Encoder

__all__ = ["EncodedFold", "Scaling", "encode", "encode_folds", "move_to_device", "predictions"]

_logger = logging.getLogger("journal_launcher.tabular")

_VERSION = 1
"""Counts up when the same rows would be encoded in another way."""
_SHARE = 0.5
"""Of a GPU's free memory that the rows may take, and of all of it for the rows of all workers."""


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the training rows' target (a regression's)."""

    mean: float
    std: float


@dataclass(frozen=True)
class EncodedFold:
    """One fold. valid: (rows, inputs)."""

    scaling: Scaling | None
    train: TensorRows
    valid: Tensor


def encode(
    features: Features,
    target: NDArray[np.float64],
    weights: RowWeights,
    regression: bool,
    scale: bool,
) -> tuple[Encoder, TensorRows, Scaling | None]:
    """Fit an encoder, and for a regression a scaling, and apply them to the rows they saw."""
    encoder = Encoder.fit(features, scale)
    y, scaling = _encoded_target(target, regression)
    x = torch.from_numpy(encoder.transform(features))
    rows = TensorRows(x, torch.from_numpy(y), _as_tensor(weights))
    return encoder, rows, scaling if regression else None


def encode_folds(
    folds: Sequence[FoldData],
    regression: bool,
    scale: bool,
    device: torch.device,
    workers: int = 1,
) -> list[EncodedFold]:
    """Every fold with an encoder of its own, equally wide, on the device if all fit there.

    Folds that have a directory are encoded once, into one beside it, and then mapped. workers: so
    many have the device.
    """
    arrays = _kept(folds, regression, scale) or _encoded(folds, regression, scale)
    weights = [_as_tensor(fold.train_weights) for fold in folds]
    parts = [_tensor(arrays["x"]), _tensor(arrays["y"])]
    weighed = [own for own in weights if own is not None]
    x, y, *moved = move_to_device([*parts, *weighed], device, workers)
    found = []
    at = 0
    y_at = 0
    for number, (fold, (mean, std)) in enumerate(
        zip(folds, arrays["scalings"].tolist(), strict=True)
    ):
        end = at + len(fold.rows.train)
        y_end = y_at + len(fold.rows.train)
        own = moved[number] if moved else None
        rows = TensorRows(x[at:end], y[y_at:y_end], own)
        scaling = Scaling(mean, std) if regression else None
        at = end + len(fold.rows.valid)
        y_at = y_end
        found.append(EncodedFold(scaling, rows, x[end:at]))
    return found


def _kept(
    folds: Sequence[FoldData], regression: bool, scale: bool
) -> dict[str, NDArray[Any]] | None:
    """What any worker has encoded; None if there is no place for it."""
    table = folds[0].directory
    if table is None:
        return None
    directory = table.with_name(f"{table.name[:16]}-{_digest(folds, scale)}")
    try:
        with one_at_a_time(directory.parent):
            if not are_stored(directory):
                store(directory, _encoded(folds, regression, scale), {})
        return map_arrays(directory)
    except OSError as error:  # a full disk, say, which a table that has been read can do without
        _logger.warning("every worker encodes the table for itself: %s", error)
        return None


def _encoded(folds: Sequence[FoldData], regression: bool, scale: bool) -> dict[str, NDArray[Any]]:
    """x: the rows of all folds, of each the training rows and then the validation rows; y: the
    targets of all training rows; scalings: (folds, 2)."""
    encoders = [Encoder.fit(fold.train, scale) for fold in folds]
    # Folds may differ in their rare categories; a column of zeros changes nothing.
    widest = max(encoder.width for encoder in encoders)
    n_rows = sum(len(fold.rows.train) + len(fold.rows.valid) for fold in folds)
    x = np.zeros((n_rows, widest), dtype=np.float32)
    at = 0
    for fold, encoder in zip(folds, encoders, strict=True):
        for part in ("train", "valid"):
            found = encoder.transform(getattr(fold, part))
            x[at : at + len(found), : encoder.width] = found
            at += len(found)
    targets = [_encoded_target(fold.train_target, regression) for fold in folds]
    return {
        "x": x,
        "y": np.concatenate([y for y, _ in targets]),
        "scalings": np.array([(scaling.mean, scaling.std) for _, scaling in targets]),
    }


def _encoded_target(target: NDArray[np.float64], regression: bool) -> tuple[NDArray[Any], Scaling]:
    """(rows, 1) values or class positions, and the scaling, which classes have no use for."""
    if not regression:
        return target[:, None].astype(np.int64), Scaling(0.0, 1.0)
    scaling = Scaling(float(target.mean()), float(target.std()) or 1.0)
    return ((target - scaling.mean) / scaling.std)[:, None].astype(np.float32), scaling


def _as_tensor(weights: RowWeights) -> Tensor | None:
    return None if weights is None else torch.from_numpy(weights.astype(np.float32))[:, None]


def _digest(folds: Sequence[FoldData], scale: bool) -> str:
    """Of the rows of the folds and how they are encoded."""
    digest = hashlib.sha256(f"{_VERSION} {scale}".encode())
    for fold in folds:
        for rows in (fold.rows.train, fold.rows.valid):
            digest.update(np.append(len(rows), rows).astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


def _tensor(array: NDArray[Any]) -> Tensor:
    """Without a copy, also of an array that is mapped and so must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def move_to_device(tensors: list[Tensor], device: torch.device, workers: int = 1) -> list[Tensor]:
    """Move them to the device, or leave all on the host, and say so, if they would fill it.

    workers: so many have the device, each of which may take as much.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    needed = sum(tensor.nbytes for tensor in tensors)
    with measuring():
        free, total = torch.cuda.mem_get_info(device)
        if needed > _SHARE * min(free, total / workers):
            _logger.warning(
                "the encoded rows need %.3g GB, of the GPU's memory %.3g GB are free%s: they stay "
                "in the host's memory and stream to the GPU, which is slower",
                needed / 1e9,
                free / 1e9,
                f" for {workers} workers" if workers > 1 else "",
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
