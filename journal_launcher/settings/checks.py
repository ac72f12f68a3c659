"""Which settings of a launch go together; each mistake is one line."""

import dataclasses
import math
from typing import TYPE_CHECKING

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.command_template import parse_report, parse_template, parse_value
from journal_launcher.settings.model_types import MODEL_TYPES, belonging_to, flags_of_others
from journal_launcher.settings.options import flag, option_of
from journal_launcher.settings.space_table import parse_space

if TYPE_CHECKING:
    from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["check_combinations", "check_numbers"]

TABLE_GROUPS = ("Table", "Model")


def check_numbers(settings: "LaunchSettings") -> None:
    """Raise UsageError for numbers that no launch can use."""
    at_least = {
        **{"n_trials": 1, "workers": 1, "workers_per_gpu": 1, "k_folds": 2, "seed": 0},
        **{"max_retries": 0, "max_failures": 1, "confirm": 0},
    }
    for name, least in at_least.items():
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"{flag(name)}: expected {least} or more, found {value}")
    for name in ("test_size", "dropout"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value < 1:
            raise UsageError(f"{flag(name)}: expected 0 or more and below 1, found {value}")
    if settings.seed is not None and settings.seed >= 2**32:
        raise UsageError(f"--seed: expected less than 2^32, found {settings.seed}")
    for name in ("timeout", "trial_timeout"):
        value = getattr(settings, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{flag(name)}: expected a positive duration, found {value}")


def check_combinations(settings: "LaunchSettings") -> None:
    """Raise UsageError for settings that contradict each other."""
    _check_own_code(settings)
    if (settings.split == "group") != (settings.group_column is not None):
        raise UsageError("--split group and --group-column COLUMN need each other")
    if (settings.split == "time") != (settings.time_column is not None):
        raise UsageError("--split time and --time-column COLUMN need each other")
    if settings.data.startswith("sklearn:") and settings.target is not None:
        raise UsageError("--target belongs to --data PATH; a bundled data set has its own")
    if settings.job_kind.has_model_type:
        _check_own_flags(settings)
    for name in ("model_types", "save_all_models"):
        if getattr(settings, name) and not settings.compare_models:
            raise UsageError(f"{flag(name)} belongs to --compare-models")
    if settings.cpu_only and settings.gpus not in ("auto", "none"):
        raise UsageError(
            f"--gpus {settings.gpus}: {settings.model_type} cannot use a GPU; leave --gpus away, "
            "and use --workers N for several CPU workers"
        )


def _check_own_code(settings: "LaunchSettings") -> None:
    if settings.objective is not None and settings.command is not None:
        raise UsageError("--objective and --command exclude each other")
    if settings.job_kind.has_model_type and settings.direction:
        raise UsageError(
            "--direction belongs to --objective or --command; a table's metric has its own"
        )
    if not settings.job_kind.has_model_type:
        _check_no_table_options(settings)
    if settings.objective is None and settings.arguments:
        raise UsageError(
            f"what follows -- belongs to --objective, found {len(settings.arguments)} without it"
        )
    if settings.command is not None:
        _check_command(settings, settings.command)
    else:
        for name in ("space", "value", "report"):
            if getattr(settings, name) is not None:
                key = option_of(_field(settings, name)).key
                raise UsageError(f"{key} needs a script: --command, or run in [command]")


def _check_command(settings: "LaunchSettings", command: str) -> None:
    if settings.space is None:
        raise UsageError(
            "--command needs parameters: a table [space] in --config FILE.toml, with lines such as "
            "lr = {low = 1e-5, high = 0.1, log = true} or opt = ['adam', 'sgd']"
        )
    parse_template(command, parse_space(settings.space))
    parse_value(settings.value, settings.n_directions)
    parse_report(settings.report, settings.n_directions)


def _check_no_table_options(settings: "LaunchSettings") -> None:
    own = "--command" if settings.objective is None else "--objective"
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name) != field.default
        if given and option_of(field).group in TABLE_GROUPS:
            tables = f"[{', '.join(settings.spaces or {})}]"
            key = tables if field.name == "spaces" else option_of(field).key
            shown = key or flag(field.name)
            raise UsageError(
                f"{shown} is for the built-in models of a table; with {own} the script decides"
            )


def _check_own_flags(settings: "LaunchSettings") -> None:
    """Refuse a flag of another model type, and one that a range of the same name contradicts."""
    for name in flags_of_others(settings.model_type):
        if getattr(settings, name) != _field(settings, name).default:
            raise UsageError(
                f"{flag(name)} belongs to --model-type {belonging_to(name)}, found "
                f"{settings.model_type}"
            )
    for model_type, ranges in (settings.spaces or {}).items():
        for name in MODEL_TYPES[model_type].flags:
            if name in ranges and getattr(settings, name) != _field(settings, name).default:
                raise UsageError(
                    f"[{model_type}] {name}: {flag(name)} fixes it already; give one of them"
                )


def _field(settings: "LaunchSettings", name: str) -> "dataclasses.Field[object]":
    return next(field for field in dataclasses.fields(settings) if field.name == name)
