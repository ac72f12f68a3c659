"""Folds are encoded once, into files that all workers map."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tabular.models.small_tables import folds, table

from journal_launcher.tabular.data import arrays
from journal_launcher.tabular.models import FoldData
from journal_launcher.tabular.models.neural_net import encoding
from journal_launcher.tabular.models.neural_net.encoding import EncodedFold, encode_folds
from journal_launcher.tabular.preprocessing import Encoder

CPU = torch.device("cpu")
Folds = Sequence[FoldData]


def kept_in(cache: Path, data: Folds) -> Folds:
    return [replace(fold, directory=cache / "table") for fold in data]


def assert_same(found: list[EncodedFold], expected: list[EncodedFold]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.scaling == other.scaling
        for part, its in ((one.train.x, other.train.x), (one.train.y, other.train.y)):
            assert torch.equal(part, its)
        assert torch.equal(one.valid, other.valid)


def refuse(*_: Any) -> None:
    raise AssertionError("encoded again")


@pytest.mark.parametrize("classes", [0, 3])
def test_each_fold_is_encoded_by_itself(classes: int) -> None:
    data = folds(*table(classes))
    for fold, found in zip(data, encode_folds(data, not classes, True, CPU), strict=True):
        encoder = Encoder.fit(fold.train)
        np.testing.assert_array_equal(found.train.x.numpy(), encoder.transform(fold.train))
        np.testing.assert_array_equal(found.valid.numpy(), encoder.transform(fold.valid))
        if found.scaling is None:
            np.testing.assert_array_equal(found.train.y.numpy()[:, 0], fold.train_target)
        else:
            assert found.scaling.mean == pytest.approx(fold.train_target.mean())
            assert found.train.y.mean().item() == pytest.approx(0, abs=1e-6)
            assert found.train.y.std(correction=0).item() == pytest.approx(1)


@pytest.mark.parametrize("classes", [0, 3])
def test_what_one_worker_wrote_the_others_map(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folds(*table(classes))
    alone = encode_folds(data, not classes, True, CPU)
    assert_same(encode_folds(kept_in(tmp_path, data), not classes, True, CPU), alone)
    monkeypatch.setattr(encoding, "_encoded", refuse)
    mapped = encode_folds(kept_in(tmp_path, data), not classes, True, CPU)
    assert_same(mapped, alone)
    (entry,) = tmp_path.iterdir()
    assert f"{entry}/x.npy" in Path("/proc/self/maps").read_text()


def test_other_rows_or_another_scale_are_other_files(tmp_path: Path) -> None:
    data = kept_in(tmp_path, folds(*table()))
    for some, scale in ((data, True), (data, False), (data[::-1], True), (data, True)):
        found = encode_folds(some, True, scale, CPU)
        alone = [replace(fold, directory=None) for fold in some]
        assert_same(found, encode_folds(alone, True, scale, CPU))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_disk_without_room_costs_memory_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays, "move_into_place", full)
    data = folds(*table())
    found = encode_folds(kept_in(tmp_path, data), True, True, CPU)
    assert_same(found, encode_folds(data, True, True, CPU))
    assert "every worker encodes the table for itself: " in caplog.text
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_many_workers_encode_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, calls, encoded = folds(*table()), [], encoding._encoded

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return encoded(*arguments)

    monkeypatch.setattr(encoding, "_encoded", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda _: encode_folds(kept_in(tmp_path, data), True, True, CPU), range(8))
        )
    assert len(calls) == 1
    for one in found[1:]:
        assert_same(one, found[0])


def test_the_files_of_an_older_encoder_are_left_alone() -> None:
    """Whoever changes what this test sees must let `encoding._VERSION` count up."""
    found = encode_folds(folds(*table()), True, True, CPU)[0]
    means = [-0.0013, 0.0016, 0.0451, 0.2105, 0.2406, 0.3308, 0.218, 0.0]
    row = [0.2745, -0.5865, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert found.train.x.double().mean(0).tolist() == pytest.approx(means, abs=1e-3)
    assert found.valid[0].tolist() == pytest.approx(row, abs=1e-3)
    assert encoding._VERSION == 1
