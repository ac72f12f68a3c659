"""Every file name of the project, and the rule for study names."""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, UsageError
from journal_launcher.base.trial_dir import mark_of
from journal_launcher.base.unknown_names import nearest

__all__ = [
    "StudiesFolder",
    "StudyPaths",
    "absolute",
    "cached",
    "check_study_name",
    "default_name",
    "install_command",
    "install_extra",
    "is_frame_name",
    "is_published_name",
    "is_study_name",
    "slug",
    "typed",
    "unknown_study",
]

_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST, _DIGITS = 100, 8  # characters of a name; of a hash in it
_FRAME_DIGITS = 16
_FRAME = re.compile(rf"\.?frame-[0-9a-f]{{{_FRAME_DIGITS}}}\.safetensors(\..+)?")
_LONGEST_TARGET = 30
STAGING_MARK = ".ours"  # in a staging folder that a save of this program made
_STAGED = re.compile(
    r"best_model(\..+)?|training_diagnostics\.json|manifest\.json|replaced|\.ours"
    r"|\.(best_model|training_diagnostics|manifest)\..+"  # half-written
)
_STAGED_UNMARKED = re.compile(  # what a killed refit of an earlier version left
    r"best_model\.(safetensors|cbm|skops)|training_diagnostics\.json"
)
_PUBLISHED = re.compile(
    r"(best_model|training_diagnostics\.json|best_model\.(?!meta\.json)[^/]+)(/.+)?", re.S
)
_ENTRY = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}-[0-9a-f]+|\.building-.+")
_RESERVED = (".log", ".lock", ".flock", ".torn", ".json")  # `a.log` is the journal of study `a`


def typed() -> str:
    """What the user types to start this program: launch.sh says how it was called."""
    return shlex.quote(os.environ.get("JOURNAL_LAUNCHER_TYPED", "journal-launcher"))


def install_command(*names: str) -> str:
    """What the user types to install packages where this Python finds them."""
    packages = " ".join(map(shlex.quote, names))
    if _is_own_venv_of_launch_sh():
        return f"{typed()} pip install {packages}"
    on_path = shutil.which("python") == sys.executable
    return f"{'python' if on_path else shlex.quote(sys.executable)} -m pip install {packages}"


def install_extra(extra: str, package: str) -> str:
    """The same for an extra that is one package; launch.sh's `.venv` does not hold this program."""
    if _is_own_venv_of_launch_sh():
        return install_command(package)
    return f"pip install 'journal-launcher[{extra}]'"


def _is_own_venv_of_launch_sh() -> bool:
    """Was this Python started by launch.sh, in the `.venv` that it makes beside this package?"""
    with contextlib.suppress(OSError):
        own = os.path.samefile(sys.prefix, Path(__file__).parents[2] / ".venv")
        return own and "JOURNAL_LAUNCHER_TYPED" in os.environ
    return False


def absolute(path: Path | str) -> Path:
    """A path as it was typed, from the root and with the home directory for ~.

    Raises:
        UsageError: there is no such home directory, or the current directory was removed.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        home = Path(path).parts[0]
        raise UsageError(
            f"{path}: expected a home directory for {home}, found none; write the path in full"
        ) from None
    except FileNotFoundError:
        raise UsageError(f"the current directory was removed; cd elsewhere and {AGAIN}") from None


def slug(text: str) -> str:
    """The nearest valid study name for any text.

    Where letters are lost, or it would be too long, a hash tells it from that of another text.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", _in_ascii(text)).strip("._-")
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - _DIGITS - 1]}-{_digest(text)}"
    if name.endswith(_RESERVED):
        name = name.replace(".", "_")
    return name or "study"


def _in_ascii(text: str) -> str:
    """The text without accents; its hash stands for the letters that are lost."""
    return text if text.isascii() else f"{_letters(text)}-{_digest(text)}"


def _letters(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


def is_study_name(name: str) -> bool:
    return bool(_STUDY_NAME.fullmatch(name)) and not name.endswith(_RESERVED)


def default_name(
    objective: str | None, data: str, model_type: str, target: str | None = None
) -> str:
    """A study's name, made from data, target and model type, if any (or script and function)."""
    if objective is not None:
        source, _, attribute = objective.rpartition(":")
        stem = source.rsplit("/", 1)[-1].removesuffix(".py").rsplit(".", 1)[-1]
        return slug(f"{stem}_{attribute}")
    folder, _, stem = data.removeprefix("sklearn:").rstrip("/").rpartition("/")
    stem = stem.removesuffix(".gz").removesuffix(".zst")
    if stem.endswith((".tsv", ".txt", ".xlsx", ".xls", ".ods")):
        stem = stem.rpartition(".")[0]
    for suffix in (".csv", ".npz", ".parquet"):
        stem = stem.removesuffix(suffix)
    if stem.strip("*?") == "":  # a pattern of parts that says nothing of the table
        stem = folder.rpartition("/")[2]
    stem = _in_ascii(stem)  # here, so that studies of one table have names that begin alike
    parts = (stem, "" if target is None else _of_target(target), model_type)
    return slug("_".join(filter(None, parts)))


def _of_target(target: str) -> str:
    """A column's name in that of a study: "price ($)" and "price (€)" are told apart."""
    plain = target.replace(" ", "_")
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", _letters(plain))[:_LONGEST_TARGET].strip("._-")
    return kept if kept == plain else f"{kept}-{_digest(target)}"


def check_study_name(name: str) -> str:
    """Return `name` unchanged, or raise UsageError with a valid suggestion."""
    if is_study_name(name):
        return name
    shown = ascii(name) if len(name) <= 60 else f"{name[:57]!a}… ({len(name)} characters)"
    raise UsageError(
        f"study name {shown} is not valid: expected 1 to 100 letters, digits, '.', '_' or '-', "
        f"the first a letter or a digit, not ending in .log or .json; try --study-name {slug(name)}"
    )


@dataclass(frozen=True)
class StudyPaths:
    """The files of one study, all absolute; `folder` is the studies folder that holds them."""

    folder: Path
    name: str

    @property
    def journal(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def directory(self) -> Path:
        return self.folder / self.name

    @property
    def lease(self) -> Path:
        return self.directory / "lease.lock"

    @property
    def launch_record(self) -> Path:
        return self.directory / "launch.json"

    @property
    def workers(self) -> Path:
        return self.directory / "workers"

    def worker_log(self, index: int) -> Path:
        return self.workers / f"{index}.log"

    def frame(self, digest: str) -> Path:
        """The table that a launch from Python was given, named by its content."""
        return self.directory / f"frame-{digest[:_FRAME_DIGITS]}.safetensors"

    @property
    def trials(self) -> Path:
        """Folders of running and interrupted trials and of the best so far."""
        return self.directory / "trials"

    def trial_folder(self, number: int) -> Path:
        return self.trials / str(number)

    def trial_folders(self) -> Iterator[int]:
        """The numbers of those that a trial made; what else lies beside them is not ours."""
        if self.trials.is_symlink():
            return
        for folder in _listed(self.trials):
            decimal = folder.name.isdecimal() and folder.name == str(int(folder.name))
            if decimal and self.trial_mark(int(folder.name)).exists():
                yield int(folder.name)

    def trial_mark(self, number: int) -> Path:
        """Beside a folder that a trial made."""
        return mark_of(self.trial_folder(number))

    def arriving_folder(self, number: int, worker: int) -> Path:
        """Where the parent puts together what a worker elsewhere sends of a trial's folder."""
        return self.trials / f".arriving-{number}-{worker}"

    def arriving_folders(self) -> list[Path]:
        """Those that a killed parent left."""
        return [path for path in _listed(self.trials) if path.name.startswith(".arriving-")]

    def remove_trial_folder(self, number: int) -> None:
        """Remove the folder that a trial made, and its mark; a link in its place stays."""
        shutil.rmtree(self.trial_folder(number), ignore_errors=True)
        self.trial_mark(number).unlink(missing_ok=True)

    @property
    def staging(self) -> Path:
        return self.directory / "staging"

    def staged(self) -> tuple[list[Path], list[Path]]:
        """(what a save puts into the staging folder, what else lies there)."""
        found = list(_listed(self.staging))
        marked = {path.name for path in found} & {STAGING_MARK, "manifest.json"}
        known = _STAGED if marked else _STAGED_UNMARKED
        ours = [path for path in found if known.fullmatch(path.name)]
        return ours, [path for path in found if path not in ours]

    @property
    def sidecar(self) -> Path:
        return self.directory / "best_model.meta.json"

    @property
    def best_model_directory(self) -> Path:
        """What a user's `save_best` and the best trial wrote."""
        return self.directory / "best_model"

    @property
    def diagnostics(self) -> Path:
        """How the best model's training went."""
        return self.directory / "training_diagnostics.json"

    @property
    def decisions(self) -> Path:
        """What a watcher decided, a line each."""
        return self.directory / "decisions.jsonl"

    def best_model_file(self, extension: str) -> Path:
        return self.directory / f"best_model.{extension}"


@dataclass(frozen=True)
class StudiesFolder:
    """The folder that holds all studies (`--studies-dir`), absolute."""

    root: Path

    @classmethod
    def at(cls, path: Path | str) -> "StudiesFolder":
        """The folder as it was typed; it may be yet to make.

        Raises:
            UsageError: it cannot be a folder, such as a file.
        """
        root = absolute(path)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.stat(f"{root}/.")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"--studies-dir {path}: expected a folder, found: {reason}") from None
        return cls(root)

    def study(self, name: str) -> StudyPaths:
        return StudyPaths(self.root, check_study_name(name))

    def names(self) -> list[str]:
        """Of all studies in the folder: each has a journal."""
        files = (path for path in self.root.glob("*.log") if path.is_file())
        return sorted(filter(is_study_name, (path.name.removesuffix(".log") for path in files)))

    @property
    def skip_registry(self) -> Path:
        """Model types that a launch passes over for a while."""
        return self.root / "skip_registry.json"

    @property
    def cache(self) -> Path:
        return self.root / ".cache"


def is_published_name(name: str) -> bool:
    """Is this a file that a save may put into a study's folder, and none outside it?"""
    outside = {"", ".", ".."}.intersection(name.split("/")) or "\0" in name
    return bool(_PUBLISHED.fullmatch(name)) and not outside


def is_frame_name(name: str) -> bool:
    """Is this a table from Python, or one half-written?"""
    return bool(_FRAME.fullmatch(name))


def cached(cache: Path) -> list[Path]:
    """Entries of a cache, each named by a hash; what else lies beside them is not ours."""
    return [path for path in _listed(cache) if _ENTRY.fullmatch(path.name)]


def _listed(folder: Path) -> Iterator[Path]:
    """What is in a folder, if it is one and not a link to one."""
    if folder.is_dir() and not folder.is_symlink():
        yield from folder.iterdir()


def unknown_study(paths: StudyPaths) -> UsageError:
    """What to raise where a study is asked for that is not there."""
    names = StudiesFolder(paths.folder).names()
    near = nearest(paths.name, names)
    hint = f"; did you mean {near}?" if near else ""
    known = f"; studies there: {', '.join(names[:10])}" if names else ""
    return UsageError(f"no study {paths.name} in {paths.folder}{hint}{known}; check --studies-dir")
