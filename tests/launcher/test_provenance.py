"""What a launch writes down about itself."""

from pathlib import Path

import pytest

from journal_launcher.launcher import provenance
from journal_launcher.settings.model_types import MODEL_TYPES, ModelSpec


def test_a_library_is_recorded_whatever_distribution_it_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XGBoost comes as xgboost and as xgboost-cpu; both are imported as xgboost."""
    (tmp_path / "boosting_toy").mkdir()
    (tmp_path / "boosting_toy" / "__init__.py").write_text("raise AssertionError('imported')")
    for distribution, module in (("cpu", "boosting_toy"), ("tuner", "boosting_toy_tuner")):
        told = tmp_path / f"boosting_toy_{distribution}-1.{len(module)}.dist-info"
        told.mkdir()
        version = f"Name: boosting-toy-{distribution}\nVersion: 1.{len(module)}\n"
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\n{version}")
        (told / "RECORD").write_text(f"{module}/__init__.py,sha256=0,0\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "boosting").mkdir()  # in none of those distributions
    (tmp_path / "boosting" / "__init__.py").touch()
    for name in ("boosting_toy", "boosting", "no_such_toy"):
        monkeypatch.setitem(MODEL_TYPES, name, ModelSpec("m:C", package=name))
    found = provenance.versions.__wrapped__()
    assert found["boosting_toy"] == "1.12" and not {"boosting", "no_such_toy"} & set(found)
    assert all(found[library] for library in ("optuna", "xgboost", "scikit-learn"))
