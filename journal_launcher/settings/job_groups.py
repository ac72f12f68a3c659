"""The options of one kind of job: a table, the model types for it, or the user's own objective.

Each group holds its options and checks what concerns them alone. `LaunchSettings` is all of them.
"""

from collections.abc import Mapping
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.job_kinds import COMMAND, OBJECTIVE, JobKind
from journal_launcher.base.job_kinds import TABLE as TABLE_KIND
from journal_launcher.settings.command_template import parse_report, parse_template, parse_value
from journal_launcher.settings.limits import Limits
from journal_launcher.settings.metric_names import METRICS
from journal_launcher.settings.model_types import (
    DEFAULT,
    EXAMPLE,
    MODEL_TYPES,
    belonging_to,
    flags_of_others,
)
from journal_launcher.settings.options import (
    check_at_least,
    check_share,
    flag,
    is_given,
    option,
)
from journal_launcher.settings.ranges import check_tables
from journal_launcher.settings.space_table import parse_space

__all__ = ["MODEL", "OWN", "TABLE", "ModelGroup", "OwnGroup", "TableGroup"]

TABLE = "Table"
MODEL = "Model"
OWN = "Your own objective"


@dataclass(frozen=True)
class TableGroup:
    """Which table, and how it is divided and scored."""

    data: str = option(
        "sklearn:diabetes",
        TABLE,
        "CSV, Excel, Parquet or NPZ (X, y) file, parts of one table, or sklearn:NAME.",
        metavar="PATH|sklearn:NAME",
    )
    target: str | None = option(None, TABLE, "Column to predict.", metavar="COLUMN")
    task: str = option(
        "auto",
        TABLE,
        "auto: classification if the target is text, boolean, or whole numbers with at most "
        "20 distinct values.",
        choices=("auto", "regression", "classification"),
    )
    metric: str | None = option(
        None, TABLE, "What is optimised (default r2 or log_loss).", choices=tuple(METRICS)
    )
    k_folds: int = option(5, TABLE, "Folds of the cross-validation.", metavar="K")
    test_size: float = option(
        0.2, TABLE, "Share of rows held out to score the best model; 0 for none.", metavar="SHARE"
    )
    split: str = option(
        "auto",
        TABLE,
        "How rows are split; auto: stratified for classification, else kfold.",
        choices=("auto", "kfold", "stratified", "group", "time"),
    )
    confirm: int = option(
        3, TABLE, "Best trials scored again on fresh folds, which decide; 0 for none.", metavar="N"
    )
    group_column: str | None = option(
        None, TABLE, "Rows of one group stay together (--split group).", metavar="COLUMN"
    )
    time_column: str | None = option(
        None, TABLE, "Order of the rows (--split time).", metavar="COLUMN"
    )
    weight_column: str | None = option(
        None, TABLE, "What each row counts, in training and in scores.", metavar="COLUMN"
    )
    date_order: str | None = option(
        None,
        TABLE,
        "What 01/02/2024 is where no row and no other column shows it; none: no date.",
        choices=("dmy", "mdy", "ymd", "none"),
    )
    strict_data: bool = option(
        False, TABLE, "Refuse a table that gives reason to doubt its scores.", switch=True
    )

    def check(self) -> None:
        """Raise UsageError for a division that cannot be."""
        check_at_least("k_folds", self.k_folds, 2)
        check_at_least("confirm", self.confirm, 0)
        check_share("test_size", self.test_size)
        if (self.split == "group") != (self.group_column is not None):
            raise UsageError("--split group and --group-column COLUMN need each other")
        if (self.split == "time") != (self.time_column is not None):
            raise UsageError("--split time and --time-column COLUMN need each other")
        if self.data.startswith("sklearn:") and self.target is not None:
            raise UsageError("--target belongs to --data PATH; a bundled data set has its own")


@dataclass(frozen=True)
class ModelGroup:
    """What is trained on the table."""

    model_type: str = option(
        DEFAULT,
        MODEL,
        "Kind of model.",
        choices=tuple(MODEL_TYPES),
    )
    compare_models: bool = option(
        False, MODEL, "A study for each model type; publish the best one.", switch=True
    )
    model_types: str | None = option(
        None, MODEL, "Model types to compare (default: all).", metavar="a,b,c", commas=True
    )
    save_all_models: bool = option(
        False, MODEL, "Also keep the models that did not win the comparison.", switch=True
    )
    leave_out_failed: bool = option(
        False, MODEL, "A model type that fails is no failure of the comparison.", switch=True
    )
    normalize_features: bool = option(
        True,
        MODEL,
        f"Scale features for {belonging_to('normalize_features')}.",
        switch=True,
        twin=True,
    )
    use_leaky_relu: bool = option(
        False,
        MODEL,
        f"Leaky ReLU instead of ReLU in {belonging_to('use_leaky_relu')}.",
        switch=True,
        twin=True,
    )
    dropout: float | None = option(
        None,
        MODEL,
        f"Fix {belonging_to('dropout')}'s dropout (default: tuned).",
        metavar="X",
    )
    refit: str = option(
        "train",
        MODEL,
        "Rows of the published model: the training rows, or all with the hold-out.",
        choices=("train", "all"),
    )
    spaces: Mapping[str, Mapping[str, Any]] | None = option(
        None,
        MODEL,
        "A table for each model type: its parameters' ranges, choices and fixed values.",
        key="[MODEL_TYPE]",
        example=EXAMPLE,
    )
    health: Mapping[str, Any] | None = option(
        None,
        MODEL,
        "Where a warning begins and where a finding is critical.",
        key="[health]",
        example="[health]\ndead_units = [0.25, 0.5]",
    )
    skip: Mapping[str, Any] | None = option(
        None,
        MODEL,
        "When a model type is skipped, and for how long.",
        key="[skip]",
        example="[skip]\ncritical_results = 3\nhours = 24",
    )
    ignore_skip: bool = option(
        False, MODEL, "Run a model type that the skip registry holds back.", switch=True
    )

    def check(self) -> None:
        """Raise UsageError for what does not go with the model type."""
        check_share("dropout", self.dropout)
        check_tables(self.spaces or {}, tuple(MODEL_TYPES))
        Limits.of(self.health, self.skip)
        for name in flags_of_others(self.model_type):
            if is_given(self, name) and not self.compare_models:  # one of those it may belong to
                raise UsageError(
                    f"{flag(name)} belongs to --model-type {belonging_to(name)}, found "
                    f"{self.model_type}"
                )
        for model_type, ranges in (self.spaces or {}).items():
            for name in MODEL_TYPES[model_type].flags:
                # Where it is None, the parameter of this name is tuned.
                if name in ranges and getattr(ModelGroup, name) is None and is_given(self, name):
                    raise UsageError(
                        f"[{model_type}] {name}: {flag(name)} fixes it already; give one of them"
                    )
        for name in ("model_types", "save_all_models", "leave_out_failed"):
            if getattr(self, name) and not self.compare_models:
                raise UsageError(f"{flag(name)} belongs to --compare-models")


@dataclass(frozen=True)
class OwnGroup:
    """The user's own objective or script instead of a table."""

    objective: str | None = option(
        None,
        OWN,
        "Optuna objective to run instead of a table.",
        reference=True,
    )
    arguments: tuple[str, ...] = option(
        (),
        OWN,
        "The objective's sys.argv[1:].",
        many=True,
        key="--",
        example='arguments = ["--epochs", "10"]',
    )
    command: str | None = option(
        None,
        OWN,
        "Script to run for each trial instead of a table; {name} is a parameter of [space].",
        metavar="'python train.py --lr {lr}'",
        example='[command]\nrun = "python train.py --lr {lr} --layers {layers} --out {dir}"',
    )
    space: Mapping[str, Any] | None = option(
        None,
        OWN,
        "Parameters of --command.",
        key="[space]",
        example="[space]\nlr = {low = 1e-5, high = 1e-1, log = true}\nlayers = {low = 1, high = 8}",
    )
    value: str | Mapping[str, Any] | None = option(
        None,
        OWN,
        "Where the script's value is read.",
        key="[command] value",
        example='value = {file = "metrics.json", key = "val_loss"}',
    )
    report: Mapping[str, Any] | None = option(
        None,
        OWN,
        "Lines with intermediate values, for the pruner.",
        key="[command] report",
        example="report = {pattern = 'epoch (?P<step>\\d+) loss (?P<value>\\S+)'}",
    )
    direction: tuple[str, ...] = option(
        (),
        OWN,
        "Direction of each objective (default minimize).",
        choices=("minimize", "maximize"),
        many=True,
    )

    @property
    def job_kind(self) -> JobKind:
        """What the trials are: a table's model, or the user's own objective or script."""
        if self.command is not None:
            return COMMAND
        return TABLE_KIND if self.objective is None else OBJECTIVE

    @property
    def n_directions(self) -> int:
        return len(self.direction) or 1

    def check(self) -> None:
        """Raise UsageError for what contradicts itself, or lacks what it belongs to."""
        if self.objective is not None and self.command is not None:
            raise UsageError("--objective and --command exclude each other")
        if self.job_kind.has_model_type and self.direction:
            raise UsageError(
                "--direction belongs to --objective or --command; a table's metric has its own"
            )
        if self.objective is None and self.arguments:
            raise UsageError(
                f"what follows -- belongs to --objective, found {len(self.arguments)} without it"
            )
        if self.command is not None:
            self._check_command(self.command)
            return
        given = (
            ("[space]", self.space),
            ("[command] value", self.value),
            ("[command] report", self.report),
        )
        for key, value in given:
            if value is not None:
                raise UsageError(f"{key} needs a script: --command, or run in [command]")

    def _check_command(self, command: str) -> None:
        if self.space is None:
            raise UsageError(
                "--command needs parameters: a table [space] in --config FILE.toml, with lines "
                "such as lr = {low = 1e-5, high = 0.1, log = true} or opt = ['adam', 'sgd']"
            )
        parse_template(command, parse_space(self.space))
        parse_value(self.value, self.n_directions)
        parse_report(self.report, self.n_directions)
