"""Two targets of one table are two studies; one that was begun under the earlier name is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.naming import named
from journal_launcher.study.study import StudyHandle


def begun(folder: Path, name: str, target: str | None) -> None:
    """A study's journal as a launch makes it."""
    identity = {"schema_version": 1, "kind": "table", "target": target, "directions": ["minimize"]}
    storage = open_storage(folder / f"{name}.log", create=True, allow_network_fs=True)
    StudyHandle.create(storage, name, identity)


def name_of(folder: Path, target: str | None = "price", **options: Any) -> str:
    given = {"model_type": "linear", **options}
    settings = LaunchSettings(data="x/houses.csv", target=target, studies_dir=str(folder), **given)
    return named(settings).name


def test_each_target_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert name_of(tmp_path) == "houses_price_linear"
    begun(tmp_path, "houses_price_linear", "price")
    assert name_of(tmp_path) == "houses_price_linear"
    assert name_of(tmp_path, "rooms") == "houses_rooms_linear"
    assert name_of(tmp_path, study_name="mine") == "mine"


def test_a_study_under_the_earlier_name_goes_on_if_it_has_the_target(tmp_path: Path) -> None:
    begun(tmp_path, "houses_linear", "price")
    assert name_of(tmp_path) == name_of(tmp_path, overwrite=True) == "houses_linear"
    assert name_of(tmp_path, "rooms") == "houses_rooms_linear"
    assert name_of(tmp_path, model_type="catboost") == "houses_price_catboost"
    begun(tmp_path, "houses_price_linear", "price")
    assert name_of(tmp_path) == "houses_price_linear"


def test_a_comparison_is_found_by_any_of_its_studies(tmp_path: Path) -> None:
    compared = {"compare_models": True, "model_type": "neural_net"}
    assert name_of(tmp_path, **compared) == "houses_price"
    begun(tmp_path, "houses_catboost", "price")
    assert name_of(tmp_path, **compared) == "houses"
    assert name_of(tmp_path, "rooms", **compared) == "houses_rooms"
    begun(tmp_path, "houses_price_linear", "price")
    assert name_of(tmp_path, **compared) == "houses_price"


@pytest.mark.parametrize(
    "content",
    ["", "rubbish", '{"journal_launcher": 1}', '["journal_launcher"]', '{"journal_launcher": "']
    + [json.dumps({"user_attr": {"journal_launcher": odd}}) for odd in (None, [], {"target": 3})],
)
def test_a_journal_that_says_nothing_of_a_target_is_another_study(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "houses_linear.log").write_text(content)
    assert name_of(tmp_path) == "houses_price_linear"


def test_what_is_no_journal_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "houses_linear.log").mkdir()
    assert name_of(tmp_path) == "houses_price_linear"
