"""Use a published model: load it with its sidecar, predict frames, arrays and files."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.data_source import locate_data
from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import check_result, read_json, write_result
from journal_launcher.base.job_kinds import kind_of
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.unknown_names import did_you_mean_or_all
from journal_launcher.settings.model_types import MODEL_TYPES, check_installed
from journal_launcher.tabular.data.dataset import Features, Schema
from journal_launcher.tabular.data.prepared import features_from_frame, read_features
from journal_launcher.tabular.models import (
    FittedModel,
    ModelSettings,
    Predictions,
    make_model,
)
from journal_launcher.tabular.refit import SCHEMA_VERSION

_NAME_IT = "; expected its folder, such as optuna_studies/NAME"
# Endings of other kinds of file than the one that is written.
_NOT_CSV = frozenset(
    (".parquet", ".pq", ".xlsx", ".xls", ".ods", ".tsv", ".json", ".jsonl", ".npz", ".gz", ".zst")
)

__all__ = ["LoadedModel", "load", "predict_file"]


class LoadedModel:
    """A published model. sidecar: everything that was recorded with it; schema: its inputs."""

    def __init__(self, model: FittedModel, schema: Schema, sidecar: dict[str, Any]) -> None:
        self.schema = schema
        self.sidecar = sidecar
        self._model = model

    def __repr__(self) -> str:
        told = (f"{key}={self.sidecar.get(key)!r}" for key in ("study", "model_type", "trial"))
        return f"LoadedModel({', '.join(told)})"

    def predict(self, data: pd.DataFrame | NDArray[Any]) -> NDArray[Any]:
        """(rows,) values in the target's units, or for classification labels as in training data.

        data: a frame with the columns of the training table by name, or a numeric array with them
        in the order of `schema.columns`.

        Warns of values that are taken as missing, such as a category that training had not.

        Raises:
            UsageError: columns are missing, or hold values of another kind or format.
        """
        return self._answers(self._predictions(data))

    def predict_proba(self, data: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """(rows, classes) probabilities in the order of `schema.classes`.

        Raises:
            UsageError: as `predict`, or the model is a regression.
        """
        if self.schema.task != "classification":
            raise UsageError("predict_proba needs a classification model, found a regression")
        return self._predictions(data)

    def predict_table(self, features: Features) -> pd.DataFrame:
        """A row for each input row: `prediction`, and for each class `probability_<label>`."""
        found = self._model.predict(features)
        answers = (
            np.array(self.schema.classes)[found.argmax(axis=1)] if self.schema.classes else found
        )
        columns = {"prediction": answers}
        for position, label in enumerate(self.schema.classes):
            columns[f"probability_{label}"] = found[:, position]
        return pd.DataFrame(columns)

    def _predictions(self, data: pd.DataFrame | NDArray[Any]) -> Predictions:
        features, notes = features_from_frame(data, self.schema)
        for note in notes:
            warnings.warn(note, stacklevel=3)
        return self._model.predict(features)

    def _answers(self, found: Predictions) -> NDArray[Any]:
        if self.schema.task == "classification":
            return np.asarray(self.schema.labels[found.argmax(axis=1)])
        return found


def load(path: Path) -> LoadedModel:
    """Load a study's best model; nothing is ever unpickled, and the CPU predicts.

    path: the study's directory, its sidecar or the model's file.

    Raises:
        UsageError: there is no model, it is not one of a table, or a file differs from what its
            sidecar says.
    """
    if not path.exists() and not _is_of_model(path.name):
        raise _no_such_study(path)
    directory = path if path.is_dir() else path.parent
    sidecar_path = StudyPaths(directory.parent, directory.name).sidecar
    sidecar = _read_sidecar(sidecar_path)
    if sidecar.get("left_out"):
        raise UsageError(
            f"{directory}: this model was not kept by comparison {sidecar['part_of']}, which has "
            "the winner; run the study again, or the comparison with --save-all-models"
        )
    try:
        return _load(directory, sidecar)
    except UsageError:
        raise
    except Exception as problem:  # what somebody edited can be wrong in any way
        raise UsageError(
            f"{sidecar_path}: expected a sidecar of a table's model, found {problem!r}; run the "
            "study again to publish it anew"
        ) from problem


def _load(directory: Path, sidecar: dict[str, Any]) -> LoadedModel:
    file = directory / sidecar["model_file"]
    for name in {file.name, *filter(_is_of_model, sidecar["files"])}:
        _check_file(directory / name, sidecar["files"][name])
    schema = Schema.from_json(sidecar["schema"])
    settings = ModelSettings(
        schema=schema,
        n_rows=sidecar["rows"]["train"],
        metric=sidecar["metric"],
        flags=sidecar["flags"],
        name=sidecar["model_type"],
    )
    fitted = make_model(settings).load_mean(file, sidecar["model_state"])
    return LoadedModel(fitted, schema, sidecar)


def _is_of_model(name: str) -> bool:
    """Is this one of the model's files, or that of its words, and not its diagnostics?"""
    return name.startswith("best_model.")


def _no_such_study(path: Path) -> UsageError:
    beside = [sidecar.parent.name for sidecar in path.parent.glob("*/best_model.meta.json")]
    hint = did_you_mean_or_all(path.name, sorted(beside)) if beside else ""
    return UsageError(f"{path}: there is no model here yet, nor a study{hint or _NAME_IT}")


def _read_sidecar(path: Path) -> dict[str, Any]:
    try:
        sidecar = read_json(path, newest_schema=SCHEMA_VERSION, follow=True)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: there is no model here yet; finish the study with journal-launcher run"
        ) from None
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    if not kind_of(sidecar).predicts:
        raise UsageError(
            f"{path}: expected a model of a table, found kind {sidecar.get('kind')!r}; what a "
            "script saved, the script loads"
        )
    if str(sidecar.get("model_type")) not in MODEL_TYPES:
        raise UsageError(
            f"{path}: model type {sidecar.get('model_type')!r} is not one of "
            f"{', '.join(MODEL_TYPES)}; upgrade journal_launcher"
        )
    check_installed(sidecar["model_type"])
    return sidecar


def _check_file(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UsageError(f"{path}: the sidecar names this file, but it is gone") from None
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}") from None
    if found != expected:
        raise UsageError(
            f"{path}: expected sha256 {expected[:12]}…, found {found[:12]}…: the file is not the "
            "one that was published; run the study again to publish it anew"
        )


def predict_file(study_directory: Path, data: Path, out: Path) -> list[str]:
    """Predict every row of the file `data` and write them in order to the CSV file `out`.

    Returns:
        Notes for the user about what was read.

    Raises:
        UsageError: no usable model, unreadable data, or `out` cannot be written.
    """
    if out.suffix.lower() in _NOT_CSV or out.name == "-":
        name = "predictions.csv" if out.name == "-" else f"{out.name.partition('.')[0]}.csv"
        raise UsageError(f"--out {out}: expected the name of a CSV file, such as {name}")
    if os.path.exists(out) and any(map(out.samefile, locate_data(str(data)).files)):
        raise UsageError(f"--out {out} is the input; choose another file, it would be replaced")
    check_result("--out", out)
    model = load(study_directory)
    features, notes = read_features(data, model.schema)
    write_result("--out", out, model.predict_table(features).to_csv(index=False).encode())
    return list(notes)
