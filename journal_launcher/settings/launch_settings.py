"""What a launch is asked to do: one frozen dataclass, every option declared once.

A field is the option: its name is the TOML key and, with dashes, the flag; its metadata hold the
help text, the group in `--help` and the choices. `cli` builds the flags from these fields and the
worker gets the same object as JSON.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from journal_launcher.base.errors import AGAIN
from journal_launcher.base.job_kinds import COMMAND, OBJECTIVE, TABLE, JobKind
from journal_launcher.base.paths import check_study_name, default_name, slug
from journal_launcher.settings.checks import check_combinations, check_numbers
from journal_launcher.settings.choices import METRICS
from journal_launcher.settings.command_template import parse_template
from journal_launcher.settings.groups import SEARCH, CommonSettings
from journal_launcher.settings.limits import Limits
from journal_launcher.settings.model_types import DEFAULT, EXAMPLE, MODEL_TYPES, belonging_to
from journal_launcher.settings.options import check_value, option, option_of
from journal_launcher.settings.ranges import check_tables

__all__ = ["METRICS", "LaunchSettings"]

_TABLE, _MODEL, _OWN, _OUTPUT = "Table", "Model", "Your own objective", "Output"


@dataclass(frozen=True)
class LaunchSettings(CommonSettings):
    """One launch as asked for, checked as far as it can be without looking at the machine.

    Raises:
        UsageError: a value or a combination that cannot work.
    """

    data: str = option(
        "sklearn:diabetes",
        _TABLE,
        "CSV, NPZ (X, y) or Parquet file, or a data set bundled with scikit-learn.",
        metavar="PATH|sklearn:NAME",
    )
    target: str | None = option(None, _TABLE, "Column to predict.", metavar="COLUMN")
    task: str = option(
        "auto",
        _TABLE,
        "auto: classification if the target is text, boolean, or whole numbers with at most "
        "20 distinct values.",
        choices=("auto", "regression", "classification"),
    )
    metric: str | None = option(
        None, _TABLE, "What is optimised (default r2 or log_loss).", choices=tuple(METRICS)
    )
    k_folds: int = option(5, _TABLE, "Folds of the cross-validation.", metavar="K")
    test_size: float = option(
        0.2, _TABLE, "Share of rows held out to score the best model; 0 for none.", metavar="SHARE"
    )
    split: str = option(
        "auto",
        _TABLE,
        "How rows are split; auto: stratified for classification, else kfold.",
        choices=("auto", "kfold", "stratified", "group", "time"),
    )
    confirm: int = option(
        3, _TABLE, "Best trials scored again on fresh folds, which decide; 0 for none.", metavar="N"
    )
    group_column: str | None = option(
        None, _TABLE, "Rows of one group stay together (--split group).", metavar="COLUMN"
    )
    time_column: str | None = option(
        None, _TABLE, "Order of the rows (--split time).", metavar="COLUMN"
    )

    strict_data: bool = option(
        False, _TABLE, "Refuse a table that gives reason to doubt its scores.", switch=True
    )

    model_type: str = option(
        DEFAULT,
        _MODEL,
        "Kind of model.",
        choices=tuple(MODEL_TYPES),
    )
    compare_models: bool = option(
        False, _MODEL, "A study for each model type; publish the best one.", switch=True
    )
    model_types: str | None = option(
        None, _MODEL, "Model types to compare (default: all).", metavar="a,b,c"
    )
    save_all_models: bool = option(
        False, _MODEL, "Also keep the models that did not win the comparison.", switch=True
    )
    normalize_features: bool = option(
        True,
        _MODEL,
        f"Scale features for {belonging_to('normalize_features')}.",
        switch=True,
        twin=True,
    )
    use_leaky_relu: bool = option(
        False,
        _MODEL,
        f"Leaky ReLU instead of ReLU in {belonging_to('use_leaky_relu')}.",
        switch=True,
        twin=True,
    )
    dropout: float | None = option(
        None,
        _MODEL,
        f"Fix {belonging_to('dropout')}'s dropout (default: tuned).",
        metavar="X",
    )
    refit: str = option(
        "train",
        _MODEL,
        "Rows of the published model: the training rows, or all with the hold-out.",
        choices=("train", "all"),
    )

    spaces: Mapping[str, Mapping[str, Any]] | None = option(
        None,
        _MODEL,
        "A table for each model type: its parameters' ranges, choices and fixed values.",
        key="[MODEL_TYPE]",
        example=EXAMPLE,
    )
    health: Mapping[str, Any] | None = option(
        None,
        _MODEL,
        "Where a warning begins and where a finding is critical.",
        key="[health]",
        example="[health]\ndead_units = [0.25, 0.5]",
    )
    skip: Mapping[str, Any] | None = option(
        None,
        _MODEL,
        "When a model type is skipped, and for how long.",
        key="[skip]",
        example="[skip]\ncritical_results = 3\nhours = 24",
    )
    ignore_skip: bool = option(
        False, _MODEL, "Run a model type that the skip registry holds back.", switch=True
    )

    objective: str | None = option(
        None,
        _OWN,
        "Optuna objective to run instead of a table.",
        reference=True,
    )
    arguments: tuple[str, ...] = option(
        (),
        _OWN,
        "The objective's sys.argv[1:].",
        many=True,
        key="--",
        example='arguments = ["--epochs", "10"]',
    )
    command: str | None = option(
        None,
        _OWN,
        "Script to run for each trial instead of a table; {name} is a parameter of [space].",
        metavar="'python train.py --lr {lr}'",
        example='[command]\nrun = "python train.py --lr {lr} --layers {layers} --out {dir}"',
    )
    space: Mapping[str, Any] | None = option(
        None,
        _OWN,
        "Parameters of --command.",
        key="[space]",
        example="[space]\nlr = {low = 1e-5, high = 1e-1, log = true}\nlayers = {low = 1, high = 8}",
    )
    value: str | Mapping[str, Any] | None = option(
        None,
        _OWN,
        "Where the script's value is read.",
        key="[command] value",
        example='value = {file = "metrics.json", key = "val_loss"}',
    )
    report: Mapping[str, Any] | None = option(
        None,
        _OWN,
        "Lines with intermediate values, for the pruner.",
        key="[command] report",
        example="report = {pattern = 'epoch (?P<step>\\d+) loss (?P<value>\\S+)'}",
    )
    direction: tuple[str, ...] = option(
        (),
        _OWN,
        "Direction of each objective (default minimize).",
        choices=("minimize", "maximize"),
        many=True,
    )

    debug: bool = option(
        False, _OUTPUT, "One trial in this terminal, nothing kept; pdb works.", switch=True
    )

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            check_value(setting, getattr(self, setting.name))
        check_numbers(self)
        check_tables(self.spaces or {}, tuple(MODEL_TYPES))
        Limits.of(self.health, self.skip)
        check_combinations(self)
        if self.study_name is not None:
            check_study_name(self.study_name)

    @property
    def job_kind(self) -> JobKind:
        """What its trials are: a table's model, or the user's own objective or script."""
        if self.command is not None:
            return COMMAND
        return TABLE if self.objective is None else OBJECTIVE

    @property
    def n_directions(self) -> int:
        return len(self.direction) or 1

    @property
    def cpu_only(self) -> bool:
        """Would a GPU lie idle under this model type?"""
        return self.job_kind.has_model_type and not MODEL_TYPES[self.model_type].uses_gpu

    @property
    def again(self) -> str:
        """How to go on with the study once this launch has begun it."""
        return f"{AGAIN}, without --overwrite" if self.overwrite else AGAIN

    @property
    def failure_limit(self) -> int:
        """Failed trials of one launch that end it."""
        return self.max_failures or max(10, self.n_trials)

    @property
    def name(self) -> str:
        """The study's name, given or made."""
        model_type = "" if self.compare_models else self.model_type
        made = default_name(self.objective, self.data, model_type)
        if self.command is not None:
            made = slug(parse_template(self.command, self.space or {}).name)
        return self.study_name or made

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def of_trials(self) -> dict[str, Any]:
        """What decides a trial's score, where it is not the default; for the journal.

        Without what follows `--`: that may hold a secret, and the journal is for everybody's eyes.
        """
        groups = (SEARCH, _TABLE, _MODEL, _OWN)
        fields = (
            field
            for field in dataclasses.fields(self)
            if option_of(field).group in groups and field.name != "arguments"
        )
        found = ((field, getattr(self, field.name)) for field in fields)
        return {field.name: value for field, value in found if value != field.default}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "LaunchSettings":
        many = [field.name for field in dataclasses.fields(cls) if option_of(field).many]
        return cls(**{**content, **{name: tuple(content[name]) for name in many}})
