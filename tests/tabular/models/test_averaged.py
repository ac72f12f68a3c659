"""What is published of most model types: the mean of several trainings."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tabular.tasks import EACH_MODEL_TYPE, publish, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.predict import load

MakeTable = Callable[..., Dataset]


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_the_mean_of_five_is_published_where_trainings_differ_by_chance(
    make_table: MakeTable, tmp_path: Path, name: str, task: str
) -> None:
    table = make_table(task)
    study = publish(table, name, tmp_path / "study")
    model = load(study)
    assert model.sidecar["members"] == (1 if name == "linear" else 5)
    made = task_of(table, name).make_model()
    first, *others = sorted(study.glob(f"best_model*.{made.extension}"))
    assert first.name == model.sidecar["model_file"], "whoever asks for the model gets that one"
    state = model.sidecar["model_state"]
    if name == "linear":
        assert isinstance(state, dict) and not others
        return
    files = zip((first, *others), state, strict=True)
    found = [made.load(file, of).predict(table.features) for file, of in files]
    published = made.load_mean(first, state).predict(table.features)
    np.testing.assert_array_equal(published, np.mean(found, axis=0))
    assert not all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_trainings_in_one_call_are_those_of_their_seeds(make_table: MakeTable, name: str) -> None:
    """Also where they train together; and whoever listens hears of the rounds of all in order."""
    table = make_table()
    model = task_of(table, name).make_model()
    given = (model.defaults(), table.features, table.target, 4)
    heard: list[tuple[int, int]] = []
    model.on_round = lambda *rounds: heard.append(rounds)
    together = model.fit_each(*given, [3, 5, 7])
    shares = [done / of for done, of in heard]
    assert shares == sorted(shares) and (not shares or shares[-1] == 1)
    for seed, fitted in zip((3, 5, 7), together, strict=True):
        alone = model.fit(*given, seed).predict(table.features)
        np.testing.assert_allclose(fitted.predict(table.features), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["neural_net", "catboost"])
def test_whoever_listens_to_the_rounds_can_end_the_trainings(
    make_table: MakeTable, name: str
) -> None:
    """As a stop does, which is an exception from wherever the main thread is."""
    table = make_table()
    model = task_of(table, name).make_model()
    heard: list[tuple[int, int]] = []

    def stop(*rounds: int) -> None:
        heard.append((rounds[0], rounds[1]))
        raise InterruptedError

    model.on_round = stop
    with pytest.raises(InterruptedError):
        model.fit_each(model.defaults(), table.features, table.target, 4, [3, 5, 7])
    assert len(heard) == 1


def test_a_model_of_one_training_is_read_as_before(make_table: MakeTable, tmp_path: Path) -> None:
    """As every earlier version published it."""
    table = make_table()
    model = task_of(table, "catboost").make_model()
    fitted = model.fit(model.defaults(), table.features, table.target, 5, 0)
    file = tmp_path / "best_model.cbm"
    found = model.load_mean(file, fitted.save(file)).predict(table.features)
    np.testing.assert_array_equal(found, fitted.predict(table.features))


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_who_knows_of_one_training_only_cannot_take_it_for_several(
    make_table: MakeTable, tmp_path: Path, name: str
) -> None:
    """An earlier version must fail rather than predict by a fifth of the model."""
    table = make_table()
    study = publish(table, name, tmp_path / "study")
    sidecar = json.loads((study / "best_model.meta.json").read_text())
    if sidecar["members"] > 1:
        model = task_of(table, name).make_model()
        with pytest.raises((AttributeError, TypeError)):
            model.load(study / sidecar["model_file"], sidecar["model_state"])


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_each_training_counts(make_table: MakeTable, tmp_path: Path, damage: str) -> None:
    study = publish(make_table(), "catboost", tmp_path / "study")
    file = study / "best_model.variant3.cbm"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"changed")
    with pytest.raises(UsageError, match=r"best_model\.variant3\.cbm: "):
        load(study)
