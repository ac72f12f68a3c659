"""What a launch is asked to do: one frozen dataclass, every option declared once.

A field is the option: its name is the TOML key and, with dashes, the flag; its metadata hold the
help text, the group in `--help` and the choices. `cli` builds the flags from these fields and the
worker gets the same object as JSON.
"""

import dataclasses
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, UsageError
from journal_launcher.base.paths import default_name, slug
from journal_launcher.base.unknown_names import did_you_mean_or_all
from journal_launcher.settings.command_template import parse_template
from journal_launcher.settings.groups import (
    SEARCH,
    DevicesGroup,
    FaultsGroup,
    OutputGroup,
    SearchGroup,
    StudyGroup,
    enqueue_key,
)
from journal_launcher.settings.job_groups import (
    MODEL,
    OWN,
    TABLE,
    ModelGroup,
    OwnGroup,
    TableGroup,
)
from journal_launcher.settings.metric_names import METRICS
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.settings.options import check_value, flag, is_given, option_of

__all__ = ["METRICS", "TABLE_GROUPS", "LaunchSettings"]

TABLE_GROUPS = (TABLE, MODEL)


@dataclass(frozen=True)
class LaunchSettings(
    # A dataclass takes the fields of its last base first: the order of `--help`, from below.
    OutputGroup,
    OwnGroup,
    ModelGroup,
    TableGroup,
    FaultsGroup,
    SearchGroup,
    DevicesGroup,
    StudyGroup,
):
    """One launch as asked for, checked as far as it can be without looking at the machine.

    Every group checks its own options; what concerns several groups is checked here.

    Raises:
        UsageError: a value or a combination that cannot work.
    """

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            check_value(setting, getattr(self, setting.name))
        StudyGroup.check(self)
        DevicesGroup.check(self)
        SearchGroup.check(self)
        FaultsGroup.check(self)
        TableGroup.check(self)
        ModelGroup.check(self)
        OwnGroup.check(self)
        self._check_no_table_options()
        self._check_enqueue()
        if self.cpu_only and self.gpus not in ("auto", "none"):
            raise UsageError(
                f"--gpus {self.gpus}: {self.model_type} cannot use a GPU; leave --gpus away, and "
                "use --workers N for several CPU workers"
            )
        kind = MODEL_TYPES.get(self.model_type) if self.job_kind.has_model_type else None
        if self.packs and kind and kind.fixed_memory and not self.compare_models:
            raise UsageError(
                f"--workers-per-gpu auto: {self.model_type} takes the share of a GPU's memory that "
                "it is told, which says nothing of what it needs; use --workers-per-gpu N"
            )
        if self.elsewhere and self.debug:
            raise UsageError(
                f"{self.elsewhere}: not with --debug, which runs here; leave one of them away"
            )
        if self.job_kind.has_model_type and self.gpus_per_worker > 1:
            raise UsageError(
                f"--gpus-per-worker {self.gpus_per_worker}: each built-in model trains on one GPU; "
                "several are for --objective and --command"
            )

    def _check_enqueue(self) -> None:
        if self.enqueue and self.compare_models:
            raise UsageError(
                "[[enqueue]] is for one model type, and --compare-models has several: run the one "
                "alone first"
            )
        tables = self.enqueue or ()
        for place, params in enumerate(tables):
            for name in sorted(set(params).difference(self.space or params)):
                known = did_you_mean_or_all(name, list(self.space or ()))
                key = enqueue_key(tables, place)
                raise UsageError(f"{key} {name}: no parameter of [space]{known}")

    def _check_no_table_options(self) -> None:
        if self.job_kind.has_model_type:
            return
        own = f"--objective {self.objective}" if self.objective else f"--command {self.command}"
        for field in dataclasses.fields(self):
            if is_given(self, field.name) and option_of(field).group in TABLE_GROUPS:
                tables = f"[{', '.join(self.spaces or {})}]"
                key = tables if field.name == "spaces" else option_of(field).key
                raise UsageError(
                    f"{key or flag(field.name)} is for the built-in models of a table; with {own} "
                    "the script decides"
                )

    @property
    def cpu_only(self) -> bool:
        """Would a GPU lie idle under this model type?"""
        return self.job_kind.has_model_type and not MODEL_TYPES[self.model_type].uses_gpu

    @property
    def elsewhere(self) -> str | None:
        """The option by which workers run on other machines; None where none does."""
        if self.hosts is not None:
            return "--hosts"
        return None if self.engine == "local" else f"--engine {self.engine}"

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
        return self._name(self.target)

    @property
    def earlier_name(self) -> str:
        """The name that earlier versions made: studies of all targets had the same."""
        return self._name(None)

    def _name(self, target: str | None) -> str:
        model_type = "" if self.compare_models else self.model_type
        made = default_name(self.objective, self.data, model_type, target)
        if self.command is not None:
            made = slug(parse_template(self.command, self.space or {}).name)
        return self.study_name or made

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def of_trials(self) -> dict[str, Any]:
        """What decides a trial's score, where it is not the default; for the journal.

        Without what follows `--`: that may hold a secret, and the journal is for everybody's eyes.
        """
        groups = (SEARCH, TABLE, MODEL, OWN)
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
