"""Which settings of a launch go together; each mistake is one line."""

import dataclasses
from typing import TYPE_CHECKING

from journal_launcher.base.errors import UsageError
from journal_launcher.base.options import flag, option_of

if TYPE_CHECKING:
    from journal_launcher.base.settings import LaunchSettings

__all__ = ["check_combinations"]

TABLE_GROUPS = ("Table", "Model")


def check_combinations(settings: "LaunchSettings") -> None:
    """Raise UsageError for settings that contradict each other."""
    if settings.objective is None and settings.direction:
        raise UsageError("--direction belongs to --objective; a table's metric has its own")
    if settings.objective is not None:
        _check_no_table_options(settings)
    if (settings.split == "group") != (settings.group_column is not None):
        raise UsageError("--split group and --group-column COLUMN need each other")
    if (settings.split == "time") != (settings.time_column is not None):
        raise UsageError("--split time and --time-column COLUMN need each other")
    if settings.data.startswith("sklearn:") and settings.target is not None:
        raise UsageError("--target belongs to --data PATH; a bundled data set has its own")
    if settings.model_type != "neural_net" and settings.objective is None:
        _check_no_network_flags(settings)
    for name in ("model_types", "save_all_models"):
        if getattr(settings, name) and not settings.compare_models:
            raise UsageError(f"{flag(name)} belongs to --compare-models")
    if settings.cpu_only and settings.gpus not in ("auto", "none"):
        raise UsageError(
            f"--gpus {settings.gpus}: {settings.model_type} cannot use a GPU; leave --gpus away, "
            "and use --workers N for several CPU workers"
        )
    if settings.dropout is not None and "dropout" in (settings.spaces or {}).get("neural_net", {}):
        raise UsageError("[neural_net] dropout: --dropout fixes it already; give one of them")


def _check_no_table_options(settings: "LaunchSettings") -> None:
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name) != field.default
        if given and option_of(field).group in TABLE_GROUPS:
            tables = f"[{', '.join(settings.spaces or {})}]"
            shown = tables if field.name == "spaces" else flag(field.name)
            raise UsageError(
                f"{shown} belongs to a table (--data); with --objective the script decides"
            )


def _check_no_network_flags(settings: "LaunchSettings") -> None:
    for name in ("normalize_features", "use_leaky_relu", "dropout"):
        if getattr(settings, name) != settings.__dataclass_fields__[name].default:
            raise UsageError(
                f"{flag(name)} belongs to --model-type neural_net, found {settings.model_type}"
            )
