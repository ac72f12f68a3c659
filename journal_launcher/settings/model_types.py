"""The model types: everything that the program knows of one, but for the file of its class.

Where a name of a type or a flag of one is asked about, the answer is in its entry here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from importlib.util import find_spec
from typing import Any, Literal

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import install_command, install_extra

__all__ = [
    "BASELINE",
    "DEFAULT",
    "EXAMPLE",
    "FLAGS",
    "MODEL_TYPES",
    "SIMPLEST_FIRST",
    "Cure",
    "ModelSpec",
    "Remedy",
    "belonging_to",
    "check_installed",
    "flags_of_others",
]

Cure = Literal["scaled", "leaky", "slower", "regularised"]
"""What can be done about a sick model: scale its features, keep its units alive, take smaller
steps, prefer simple functions. `health/remedies.py` says which is tried against what."""


@dataclass(frozen=True)
class Remedy:
    """What a retry changes: flags of the type's own, and ranges of its parameters (whole numbers
    where the parameter's default is one)."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """One model type.

    class_path: "module:Class" of its `ModelType`; text, so that listing the types imports nothing.
    package: what its library is imported as, and distribution what it is installed as, where that
    is another name. extra: of this program's, that installs the library, if no install has it.
    uses_gpu: trains faster on one. gpu_check: "module:function" that raises DeviceError where the
    library cannot use the worker's GPU. fixed_memory: takes the share of a GPU's memory that it is
    told, whatever it needs. gpu_rows: with fewer rows a CPU is probably faster, an estimate
    (docs/gpu.md). flags: settings that are only its own; they are part of what its studies are, and
    one that is None by default fixes the parameter of its name.
    judges_overfit: the error on its training rows says something, which that of trees does not.
    remedies: what each cure means for it: `slower` or `regularised` with ranges, the others if they
    apply.
    """

    class_path: str
    package: str
    distribution: str | None = None
    extra: str | None = None
    uses_gpu: bool = False
    gpu_check: str | None = None
    fixed_memory: bool = False
    gpu_rows: int = 0
    flags: tuple[str, ...] = ()
    judges_overfit: bool = False
    remedies: Mapping[Cure, Remedy] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """Whether its library can be imported, without importing it."""
        return find_spec(self.package) is not None

    @property
    def requirement(self) -> str:
        """What pip is told to install."""
        if self.extra is not None:
            return f"'journal-launcher[{self.extra}]'"
        return self.distribution or self.package


MODEL_TYPES = {
    "neural_net": ModelSpec(
        "journal_launcher.tabular.models.neural_net.model_type:NeuralNet",
        package="torch",
        uses_gpu=True,
        gpu_check="journal_launcher.worker.device_check:require_torch_cuda",
        gpu_rows=2_000,
        flags=("normalize_features", "use_leaky_relu", "dropout"),
        judges_overfit=True,
        remedies={
            "scaled": Remedy(flags={"normalize_features": True}),
            "leaky": Remedy(flags={"use_leaky_relu": True}),
            "slower": Remedy(ranges={"learning_rate": {"low": 0.0002, "high": 0.003}}),
            "regularised": Remedy(
                ranges={
                    "weight_decay": {"low": 0.01, "high": 1.0},
                    "dropout": {"low": 0.2, "high": 0.7},
                }
            ),
        },
    ),
    "catboost": ModelSpec(
        "journal_launcher.tabular.models.catboost:CatBoost",
        package="catboost",
        uses_gpu=True,
        gpu_check="journal_launcher.worker.device_check:require_catboost_gpu",
        fixed_memory=True,
        gpu_rows=20_000,
        remedies={
            "slower": Remedy(ranges={"learning_rate": {"low": 0.01, "high": 0.05}}),
            "regularised": Remedy(ranges={"l2_leaf_reg": {"low": 10.0, "high": 100.0}}),
        },
    ),
    "xgboost": ModelSpec(
        "journal_launcher.tabular.models.xgboost:XGBoost",
        package="xgboost",
        extra="xgboost",
        uses_gpu=True,
        gpu_check="journal_launcher.tabular.models.xgboost:require_cuda",
        remedies={
            "slower": Remedy(ranges={"learning_rate": {"low": 0.01, "high": 0.1}}),
            "regularised": Remedy(ranges={"reg_lambda": {"low": 10.0, "high": 1000.0}}),
        },
    ),
    "lightgbm": ModelSpec(
        "journal_launcher.tabular.models.lightgbm:LightGBM",
        package="lightgbm",
        extra="lightgbm",
        remedies={
            "slower": Remedy(ranges={"learning_rate": {"low": 0.01, "high": 0.1}}),
            "regularised": Remedy(ranges={"lambda_l2": {"low": 10.0, "high": 1000.0}}),
        },
    ),
    "hist_gradient_boosting": ModelSpec(
        "journal_launcher.tabular.models.hist_gradient_boosting:HistGradientBoosting",
        package="sklearn",
        distribution="scikit-learn",
        remedies={
            "slower": Remedy(ranges={"learning_rate": {"low": 0.01, "high": 0.1}}),
            "regularised": Remedy(ranges={"l2_regularization": {"low": 10.0, "high": 1000.0}}),
        },
    ),
    "linear": ModelSpec(
        "journal_launcher.tabular.models.linear:Linear",
        package="sklearn",
        distribution="scikit-learn",
        remedies={"regularised": Remedy(ranges={"regularization": {"low": 0.1, "high": 100.0}})},
    ),
}
"""Every model type by its name, the most complex first: the order in which `--help` lists them and
`watch` falls back. Of two that score alike a comparison prefers the later, simpler one."""

SIMPLEST_FIRST = tuple(reversed(MODEL_TYPES))
FLAGS = tuple(dict.fromkeys(name for spec in MODEL_TYPES.values() for name in spec.flags))
"""Those of all types: a sidecar says each, also where the type has no use for it."""
DEFAULT = "neural_net"
BASELINE = "linear"
"""What every other model type has to beat."""
EXAMPLE = """\
[neural_net]
learning_rate = {low = 1e-4, high = 1e-2, log = true}
batch_size = [64, 128]
dropout = 0.1"""
"""A model type's table in the config file."""


def belonging_to(flag: str) -> str:
    """The model types whose flag this is, for a sentence."""
    return ", ".join(name for name, spec in MODEL_TYPES.items() if flag in spec.flags)


def flags_of_others(model_type: str) -> Iterator[str]:
    """The flags that belong to other model types alone."""
    own = MODEL_TYPES[model_type].flags
    for spec in MODEL_TYPES.values():
        yield from (name for name in spec.flags if name not in own)


def check_installed(model_type: str) -> None:
    """Look for the library of a model type.

    Raises:
        UsageError: it is not installed; says what to type.
    """
    spec = MODEL_TYPES[model_type]
    if not spec.installed:
        library = spec.distribution or spec.package
        command = install_extra(spec.extra, library) if spec.extra else install_command(library)
        raise UsageError(
            f"{model_type}: its library {spec.package} is not installed; type {command}"
        )
