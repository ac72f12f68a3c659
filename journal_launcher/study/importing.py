"""Bring a study from an Optuna database, or from another journal, into a journal of its own.

The source is opened read-only and never changed. The journal is made in memory and appears under
its name in one step, so that a kill leaves all of it or nothing.
"""

import copy
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.identity import IDENTITY_ATTRIBUTE
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import write_new_bytes
from journal_launcher.base.job_kinds import COMMAND, kind_of
from journal_launcher.base.paths import StudiesFolder, StudyPaths, is_study_name, slug
from journal_launcher.base.unknown_names import did_you_mean_file
from journal_launcher.settings.ranges import check_tables, parse_range
from journal_launcher.settings.space_table import AskedSpace, parse_space
from journal_launcher.settings.space_table import kind_of as space_kind
from journal_launcher.study.attributes import COPY_OF, IMPORTED, table, text, whole
from journal_launcher.study.confirmation import attribute_name
from journal_launcher.study.fitting import fitted, misfit
from journal_launcher.study.journal.backend import torn_bytes
from journal_launcher.study.journal.lines import parse_record
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.optuna_private import FAILED_TRIAL, RETRY_HISTORY
from journal_launcher.study.study import BEST_ATTRIBUTE, BUDGET_ATTRIBUTE, STOPPED_ATTRIBUTE

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

__all__ = ["Imported", "import_study"]

# Of a study that is another here: its numbers are not those of the trials, its end is not the end.
_OF_ITS_LAUNCHES = (BEST_ATTRIBUTE, BUDGET_ATTRIBUTE, STOPPED_ATTRIBUTE)
_CONFIRMED = attribute_name(0).removesuffix("0")
_REPEATED = frozenset({COPY_OF, FAILED_TRIAL, RETRY_HISTORY, "jl_repeats"})
_SQLITE = b"SQLite format 3\0"
_FIRST_LINES = 20  # one of them is a record, however damaged a journal is


@dataclass(frozen=True)
class Imported:
    """What was brought over. counts: trials by state; `left_out` were RUNNING; misfits: how many
    have parameters that the new space has not, by the reason; ours: a launch began the study;
    torn: bytes of a last line that was never finished."""

    name: str
    journal: Path
    directions: tuple[str, ...]
    counts: dict[str, int]
    left_out: int
    misfits: dict[str, int]
    ours: bool
    torn: int = 0


def import_study(
    source: str,
    study_name: str | None,
    studies_dir: str,
    from_study: str | None = None,
    tables: Mapping[str, Any] | None = None,
) -> Imported:
    """Copy a study of a database, a journal file or the studies folder into a new journal.

    study_name: its name here, and there as well unless `from_study` says another; None for the only
    one there. tables: what a config file says; if that is of a search space, only trials come that
    fit, as trials of that space.

    Finished trials come with everything they have, WAITING ones stay queued, RUNNING ones belong
    to a process that cannot come along and are left out; later trials move up.

    Raises:
        UsageError: no such source or study, another kind of file, or the target exists. Nothing was
            written.
        JournalDamagedError: the source is a journal that cannot be read.
    """
    studies = StudiesFolder.at(studies_dir)
    if study_name is not None and (from_study is not None or not study_name):
        studies.study(study_name)  # a name for here alone has to be one
    with _opened(source, studies) as (storage, only, torn):
        names = [study.study_name for study in storage.get_all_studies()]
        name = _choose(from_study or only, study_name, names)
        old = storage.get_study_id_from_name(name)
        new_name = study_name or name
        paths = studies.study(slug(new_name))
        _refuse_existing(paths)
        directions = storage.get_study_directions(old)
        everything = storage.get_all_trials(old, deepcopy=False)
        trials = [trial for trial in everything if trial.state != TrialState.RUNNING]
        left_out = len(everything) - len(trials)
        attributes = storage.get_study_user_attrs(old)
        identity = table(attributes.get(IDENTITY_ATTRIBUTE))
        misfits: Counter[str] = Counter()
        if space := _space(tables, identity):
            whole = kind_of(identity) is COMMAND
            trials, misfits = _fitting(trials, space, whole=whole)
            if whole:
                kinds = {name: space_kind(asked) for name, asked in space.items()}
                attributes[IDENTITY_ATTRIBUTE] = {**identity, "space": kinds}
        if len(trials) < len(everything) or new_name != name:
            attributes = {k: v for k, v in attributes.items() if k not in _OF_ITS_LAUNCHES}
            attributes = {k: v for k, v in attributes.items() if not k.startswith(_CONFIRMED)}
        _check(name, directions, trials)
        records = _Records()
        new = JournalStorage(records)
        study_id = new.create_new_study(directions, paths.name)
        for key, value in attributes.items():
            new.set_study_user_attr(study_id, key, value)
        new.set_study_user_attr(study_id, IMPORTED, len(trials))
        for key, value in storage.get_study_system_attrs(old).items():
            new.set_study_system_attr(study_id, key, value)
        _add_trials(new, study_id, trials)
    _publish(paths, records)
    return Imported(
        paths.name,
        paths.journal,
        tuple(direction.name.lower() for direction in directions),
        dict(Counter(trial.state.name for trial in trials)),
        left_out,
        dict(misfits),
        bool(identity),
        torn,
    )


def _space(tables: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> AskedSpace:
    """What a config file says of the space: a script's, an objective's, or a model type's."""
    if tables is None:
        return {}
    given = tables.get("space")
    model_type = text(identity.get("model_type"))
    if model_type is not None:
        given = table(tables.get("spaces")).get(model_type)
    if not given:
        expected = f"[{model_type or 'space'}] with the parameters that changed"
        raise UsageError(f"--config: expected a table {expected}, found none")
    if model_type is None:
        return parse_space(given)
    check_tables({model_type: given}, (model_type,))
    return {name: parse_range(f"[{model_type}] {name}", asked) for name, asked in given.items()}


def _fitting(
    trials: Sequence[FrozenTrial], space: AskedSpace, *, whole: bool
) -> tuple[list[FrozenTrial], Counter[str]]:
    """(those that fit, as trials of the space; how many do not, by reason)."""
    reasons = [misfit(trial, space, whole=whole) for trial in trials]
    kept = [t for t, reason in zip(trials, reasons, strict=True) if reason is None]
    misfits = Counter(reason for reason in reasons if reason is not None)
    return [fitted(trial, space, whole=whole) for trial in kept], misfits


def _add_trials(new: BaseStorage, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    numbers = {trial.number: place for place, trial in enumerate(trials)}
    for trial in trials:
        new.create_new_trial(study_id, _naming_anew(trial, numbers))


def _naming_anew(trial: FrozenTrial, numbers: Mapping[int, int]) -> FrozenTrial:
    """A copy that names the trials which it repeats by their new `numbers`, as far as they came."""

    def moved(attributes: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(attributes)
        for key in _REPEATED.intersection(attributes):
            old = attributes[key]
            if isinstance(old, list):
                found[key] = [numbers[number] for number in old if number in numbers]
            elif whole(old) in numbers:
                found[key] = numbers[old]
            else:
                del found[key]
        return found

    made = copy.copy(trial)
    made.user_attrs = moved(trial.user_attrs)
    made.system_attrs = moved(trial.system_attrs)
    return made


class _Records(BaseJournalBackend):
    """A journal that is a list."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += [json.loads(json.dumps(log)) for log in logs]


@contextmanager
def _opened(source: str, studies: StudiesFolder) -> Iterator[tuple[BaseStorage, str | None, int]]:
    """(what is at `source`, the study that it names, bytes of a last line that is torn)."""
    if "://" in source:
        with _database(source) as database:
            yield database, None, 0
        return
    ours = studies.study(source) if is_study_name(source) else None
    if ours is not None and ours.journal.is_file():
        storage = open_storage(ours.journal, read_only=True, allow_network_fs=True)
        yield storage, ours.name, torn_bytes(ours.journal)
    elif os.path.isfile(source):
        _check_begins_like_a_journal(source)
        storage = open_storage(Path(source), read_only=True, allow_network_fs=True)
        yield storage, None, torn_bytes(Path(source))
    else:
        raise UsageError(
            f"{source}: no such file, and no such study in {studies.root}; expected a database "
            f"such as sqlite:///old.db, a journal or a study{did_you_mean_file(Path(source))}"
        )


def _check_begins_like_a_journal(source: str) -> None:
    """A damaged journal can be repaired; another kind of file is not to be touched."""
    problem = ""
    with open(source, "rb") as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            raise UsageError(f"{source}: is a database of SQLite: type sqlite:///{source}")
        file.seek(0)
        for line in islice(file, _FIRST_LINES):
            try:
                parse_record(line)
                return
            except ValueError as error:
                problem = problem or str(error)
    if problem:
        raise UsageError(f"{source}: expected an Optuna journal, found {problem}")


@contextmanager
def _database(url: str) -> Iterator["RDBStorage"]:
    """The database behind `url`, in which nothing is created or changed."""
    from optuna.storages import RDBStorage
    from sqlalchemy import create_engine, inspect

    shown, url, options = _target(url)
    try:
        engine = create_engine(url, **options)
        tables = inspect(engine).get_table_names()
        engine.dispose()
        if not {"studies", "trials", "version_info"} <= set(tables):
            raise UsageError(f"{shown}: expected a database made by Optuna, found other tables")
        if "alembic_version" not in tables:
            raise RuntimeError("storage upgrade")  # older than what RDBStorage can judge unchanged
        storage = RDBStorage(url, options, skip_table_creation=True)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except UsageError:
        raise
    except RuntimeError as error:
        if "storage upgrade" not in str(error):
            raise UsageError(f"{shown}: {error}") from None
        raise UsageError(
            f"{shown}: made by an older Optuna; copy it, and type for the copy: "
            f"optuna storage upgrade --storage {shown}"
        ) from None
    except Exception as error:  # damaged rows fail in Optuna, SQLAlchemy or json, each in its way
        reason = (str(getattr(error, "orig", error)) or repr(error)).partition("\n")[0]
        raise UsageError(f"{shown}: expected a database made by Optuna, found: {reason}") from None


def _target(url: str) -> tuple[str, str, dict[str, Any]]:
    """How to show `url` (without a password), and what to open: a SQLite file is never created."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        found = url if "://" not in url else f"{url.partition('://')[0]}://…"
        raise UsageError(f"expected a database such as sqlite:///old.db, found {found}") from None
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() != "sqlite":
        return shown, url, {}
    path = Path(parsed.database or "").absolute()
    if not os.path.isfile(path):
        raise UsageError(f"{shown}: no such file: {path}{did_you_mean_file(path)}")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)

    return shown, "sqlite://", {"creator": connect}


def _choose(from_study: str | None, study_name: str | None, names: list[str]) -> str:
    wanted = from_study or study_name
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted or ""
    there = f"; studies there: {', '.join(names[:10])}" if names else "; it has no studies"
    there += f" and {len(names) - 10} more" if len(names) > 10 else ""
    if wanted is None:
        raise UsageError(f"which study? give --study-name{there}")
    renamed = f"; for a name of its own here: --from-study NAME --study-name {wanted}"
    renamed = "" if from_study or not names else renamed
    raise UsageError(f"no study {wanted} in the database{there}{renamed}")


def _refuse_existing(paths: StudyPaths) -> None:
    for path in (paths.journal, paths.directory):
        if path.exists():
            raise UsageError(
                f"{path} exists, and a study is only imported as a new one; choose another "
                "--studies-dir, or another name: --from-study NAME --study-name NEW"
            )


def _check(name: str, directions: Sequence[StudyDirection], trials: list[FrozenTrial]) -> None:
    """Refuse what Optuna's own journal could not go on with."""
    if StudyDirection.NOT_SET in directions:
        raise UsageError(f"study {name}: expected minimize or maximize, found no direction")
    seen: dict[str, BaseDistribution] = {}
    for trial in trials:
        if trial.values is not None and len(trial.values) != len(directions):
            raise UsageError(
                f"study {name}: expected {len(directions)} value(s) in trial {trial.number}, found "
                f"{len(trial.values)}"
            )
        for key, distribution in trial.distributions.items():
            try:
                check_distribution_compatibility(seen.setdefault(key, distribution), distribution)
            except ValueError as error:
                raise UsageError(
                    f"study {name}: trial {trial.number} has another kind of {key} than trials "
                    f"before it: {error}"
                ) from None


def _publish(paths: StudyPaths, records: _Records) -> None:
    lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in records.logs]
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        write_new_bytes(paths.journal, b"".join(lines))
    except FileExistsError:
        _refuse_existing(paths)
    except OSError as error:
        raise UsageError(f"{paths.journal}: cannot be written: {error.strerror}") from None
