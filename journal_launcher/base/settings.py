"""What a launch is asked to do: one frozen dataclass, every option declared once.

A field is the option: its name is the TOML key and, with dashes, the flag; its metadata hold the
help text, the group in `--help` and the choices. `cli` builds the flags from these fields and the
worker gets the same object as JSON.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from journal_launcher.base.checks import check_combinations, check_numbers
from journal_launcher.base.choices import CPU_MODEL_TYPES, METRICS, MODEL_TYPES
from journal_launcher.base.command import parse_template
from journal_launcher.base.errors import AGAIN
from journal_launcher.base.limits import Limits
from journal_launcher.base.options import check_value, option, option_of
from journal_launcher.base.paths import check_study_name, default_name, slug
from journal_launcher.base.ranges import check_tables

__all__ = ["CPU_MODEL_TYPES", "METRICS", "MODEL_TYPES", "LaunchSettings"]

_STUDY, _DEVICES, _SEARCH, _FAULTS = "Study", "Devices", "Search", "Faults"
_TABLE, _MODEL, _OWN, _OUTPUT = "Table", "Model", "Your own objective", "Output"


@dataclass(frozen=True)
class LaunchSettings:
    """One launch as asked for, checked as far as it can be without looking at the machine.

    Raises:
        UsageError: a value or a combination that cannot work.
    """

    n_trials: int = option(
        20, _STUDY, "Total of finished trials the study shall have.", metavar="N", flags=("trials",)
    )
    timeout: float | None = option(
        None,
        _STUDY,
        "Start no trial after this time; running ones finish.",
        metavar="30s|10m|2h",
        duration=True,
    )
    study_name: str | None = option(
        None, _STUDY, "Name of the study (default: made from data and model).", metavar="NAME"
    )
    studies_dir: str = option("optuna_studies", _STUDY, "Folder of all studies.", metavar="DIR")
    overwrite: bool = option(
        False, _STUDY, "Move an old study of this name aside and start anew.", switch=True
    )
    allow_network_fs: bool = option(
        False, _STUDY, "Accept a studies folder on a network file system.", switch=True
    )

    gpus: str = option(
        "auto",
        _DEVICES,
        "GPUs to use: free ones, all, none, or a list of indices or UUIDs.",
        metavar="auto|all|none|0,2|GPU-uuid,…|MIG-uuid,…",
    )
    workers: int | None = option(
        None, _DEVICES, "CPU workers, when no GPU is used (default 1).", metavar="N"
    )
    workers_per_gpu: int = option(1, _DEVICES, "Workers on each GPU.", metavar="N")

    sampler: str = option(
        "tpe",
        _SEARCH,
        "How parameters are chosen.",
        choices=("tpe", "random", "gp", "qmc"),
        reference=True,
    )
    pruner: str = option(
        "none",
        _SEARCH,
        "Which unpromising trials end early.",
        choices=("none", "median", "hyperband"),
        reference=True,
    )
    callback: tuple[str, ...] = option(
        (),
        _SEARCH,
        "Called as callback(study, trial) after each trial.",
        reference=True,
        many=True,
    )
    seed: int | None = option(
        None, _SEARCH, "Seed of folds, sampler and training (default 0).", metavar="N"
    )

    trial_timeout: float | None = option(
        None,
        _FAULTS,
        "Kill a trial that runs longer, and retry it.",
        metavar="30s|10m|2h",
        duration=True,
    )
    max_retries: int = option(
        1, _FAULTS, "Retries of a trial whose worker died or that timed out.", metavar="N"
    )
    max_failures: int | None = option(
        None,
        _FAULTS,
        "End the launch after this many failed trials (default 10 or --n-trials, the larger).",
        metavar="N",
    )

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
        "neural_net",
        _MODEL,
        "Kind of model.",
        choices=MODEL_TYPES,
    )
    normalize_features: bool = option(
        True, _MODEL, "Scale features for neural_net.", switch=True, twin=True
    )
    use_leaky_relu: bool = option(
        False, _MODEL, "Leaky ReLU instead of ReLU in neural_net.", switch=True, twin=True
    )
    dropout: float | None = option(
        None, _MODEL, "Fix neural_net's dropout (default: tuned).", metavar="X"
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
        example="[neural_net]\n"
        "learning_rate = {low = 1e-4, high = 1e-2, log = true}\n"
        "batch_size = [64, 128]\n"
        "dropout = 0.1",
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
        check_tables(self.spaces or {}, MODEL_TYPES)
        Limits.of(self.health, self.skip)
        check_combinations(self)
        if self.study_name is not None:
            check_study_name(self.study_name)

    @property
    def is_table(self) -> bool:
        """The built-in job, and not a user's own objective or script."""
        return self.objective is None and self.command is None

    @property
    def n_directions(self) -> int:
        return len(self.direction) or 1

    @property
    def cpu_only(self) -> bool:
        """Would a GPU lie idle under this model type?"""
        return self.is_table and self.model_type in CPU_MODEL_TYPES

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
        made = default_name(self.objective, self.data, self.model_type)
        if self.command is not None:
            made = slug(parse_template(self.command, self.space or {}).name)
        return self.study_name or made

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "LaunchSettings":
        many = [field.name for field in dataclasses.fields(cls) if option_of(field).many]
        return cls(**{**content, **{name: tuple(content[name]) for name in many}})
