"""One worker tries the model types of a comparison; what it finds is theirs, its death is not."""

import numpy as np
import pandas as pd
import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.base.errors import UsageError
from journal_launcher.launcher.rehearsal import rehearse
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.lease import Lease

pytestmark = pytest.mark.slow  # every worker imports scikit-learn


def rehearsed(shop: Workshop, target: str = "y", **options: object) -> dict[str, str]:
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=60), "y": rng.normal(size=60)}
    pd.DataFrame(table).to_csv(shop.folder / "t.csv", index=False)
    where = {"data": str(shop.folder / "t.csv"), "studies_dir": str(shop.paths.folder)}
    settings = LaunchSettings(
        **where, target=target, compare_models=True, gpus="none", model_types="linear,lightgbm",
        study_name="study", **options,
    )  # fmt: skip
    shop.seen.clear()
    with Lease(shop.paths.lease, "study", "comparison") as lease:
        return rehearse(settings, shop.paths, lease, lambda event: shop.seen.append((0.0, event)))


def test_problems_are_told_by_type_and_those_of_the_table_are_raised(workshop: Workshop) -> None:
    assert rehearsed(workshop) == {}
    found = rehearsed(workshop, spaces={"lightgbm": {"leaves": 3}})
    assert list(found) == ["lightgbm"] and "leaves" in found["lightgbm"]
    with pytest.raises(UsageError, match=r"t\.csv: --target z: no such column"):
        rehearsed(workshop, target="z")
    assert not list(workshop.paths.folder.glob("*.log"))
    assert not workshop.processes()


def test_a_library_that_kills_its_process_does_not_end_the_comparison(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night without anybody there: the other types still have their turn."""
    broken = workshop.folder / "broken"
    broken.mkdir()
    (broken / "lightgbm.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    assert rehearsed(workshop) == {}
    said = [event.text for event in workshop.of(events.Note) if event.level == "warning"]
    assert said == [
        "the worker that tried the model types died; going on, each type is tried in its turn"
    ]
