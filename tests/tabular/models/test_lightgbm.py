"""LightGBM has no GPU here."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tabular.tasks import needs, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular.data.dataset import Dataset

MakeTable = Callable[..., Dataset]

NAME = "lightgbm"
pytestmark = needs(NAME)


def test_it_has_the_threads_of_its_worker_and_no_gpu(make_table: MakeTable) -> None:
    model = task_of(make_table(), NAME, threads=3).make_model()
    on_gpu = type(model)(replace(model.settings, gpu=True))
    assert on_gpu.fixed() == model.fixed() and model.fixed()["num_threads"] == 3
    with pytest.raises(UsageError, match=NAME):
        check_inputs(LaunchSettings(model_type=NAME, gpus="0"))
