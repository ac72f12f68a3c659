"""The tests that need a GPU: `./launch.sh test --gpu`. With `--cpu` small ones run on the CPU."""

from collections.abc import Iterator

import pytest
import torch
from gpu.place import Place
from tabular.conftest import make_table
from tabular.models.neural_net.recorded import Recorded

from journal_launcher.tabular.models.neural_net import step

__all__ = ["make_table"]


@pytest.fixture(autouse=True)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The GPU, or with `--cpu` the CPU; without either the test is skipped."""
    if request.config.getoption("--cpu"):
        monkeypatch.setattr(step, "_Graph", Recorded)
        return Place(torch.device("cpu"))
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can open; with --cpu a small part runs without one")
    return Place(torch.device("cuda:0"))


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Every test begins without TF32, which the product turns on."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before
