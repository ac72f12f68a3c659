"""XGBoost on a GPU, which it would leave without a word."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tabular.tasks import needs, task_of

from journal_launcher.base.errors import DeviceError
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.worker.device_check import require_gpu

MakeTable = Callable[..., Dataset]

NAME = "xgboost"
pytestmark = needs(NAME)


def test_a_gpu_worker_trains_on_device_0_of_its_own(make_table: MakeTable) -> None:
    model = task_of(make_table(), NAME, threads=3).make_model()
    assert (model.fixed()["device"], model.fixed()["nthread"]) == ("cpu", 3)
    on_gpu = type(model)(replace(model.settings, gpu=True))
    assert (on_gpu.fixed()["device"], on_gpu.fixed()["nthread"]) == ("cuda:0", 3)


def test_a_gpu_that_it_cannot_train_on_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """XGBoost itself goes on on the CPU, without a word."""
    import xgboost

    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": False})
    with pytest.raises(DeviceError, match=r"the GPU: it is built without CUDA; .*--gpus none"):
        require_gpu(NAME)
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True})
    with pytest.raises(DeviceError, match=r"the GPU: it finds none; .*--gpus none"):
        require_gpu(NAME)

    def fail(*_: object) -> None:
        raise xgboost.core.XGBoostError("no kernel image\nStack trace:")

    monkeypatch.setattr(xgboost, "train", fail)
    with pytest.raises(DeviceError, match=r"the GPU: no kernel image; .*--gpus none"):
        require_gpu(NAME)


def test_a_gpu_that_it_trains_on_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    import xgboost

    said = json.dumps({"learner": {"generic_param": {"device": "cuda:0"}}})
    monkeypatch.setattr(xgboost.Booster, "save_config", lambda self: said)
    require_gpu(NAME)
