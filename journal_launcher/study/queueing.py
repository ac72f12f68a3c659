"""Parameters that a user wants tried: checked against what the study's trials had, then queued."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_or_all
from journal_launcher.settings.groups import can_be_queued, enqueue_key
from journal_launcher.study.attributes import queued_params
from journal_launcher.study.study import StudyHandle

__all__ = ["check_given", "misfits", "not_yet_queued", "parse_parameters", "queue"]


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE words; a value is TOML's (0.01, true, "text"), or else text as it stands.

    Raises:
        UsageError: names the word.
    """
    found: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UsageError(f"expected NAME=VALUE, such as lr=0.01, found {word!r}")
        if name in found:
            raise UsageError(f"{name} is given twice")
        found[name] = _value(text)
        if not can_be_queued(found[name]):
            expected = "a number, text, true, false or a list of such"
            raise UsageError(f"{word:.80}: expected {expected}, found {found[name]!r:.80}")
    return found


def _value(text: str) -> Any:
    """What TOML reads, if it is one value and nothing else; dates are text to Optuna."""
    try:
        table = tomllib.loads(f"value = [{text}]")
    except (ValueError, RecursionError):  # of too many digits it is not TOML's own
        return text
    one: Any = table["value"] if len(table) == 1 else ()
    return text if len(one) != 1 or isinstance(one[0], date | time) else one[0]


def queue(study: StudyHandle, params: Mapping[str, Any]) -> int:
    """Queue a trial with these parameters, before all new ones; return its number.

    What they leave out, the sampler chooses.

    Raises:
        UsageError: a name that no trial had, or a value outside its range. A study without trials
            takes anything.
    """
    known = _known(study.trials())
    values = {name: _checked(name, value, known) for name, value in params.items()}
    return study.enqueue(values)


def not_yet_queued(study: StudyHandle, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those of some trials' parameters that no trial has or was queued with, whatever became of it.

    Raises:
        UsageError: as `queue`.
    """
    trials = study.trials()
    known = _known(trials)
    asked = [queued_params(trial.system_attrs) or trial.params for trial in trials]
    found: list[dict[str, Any]] = []
    for place, params in enumerate(given):
        if dict(params) not in (*asked, *found):
            values = _checked_table(given, place, known)
            found += [values] if values not in (*asked, *found) else []
    return found


def check_given(
    given: Sequence[Mapping[str, Any]], known: Mapping[str, BaseDistribution], whose: str
) -> None:
    """Look at [[enqueue]] of a study that has no trial yet.

    whose: what has the `known` parameters, such as a model type.

    Raises:
        UsageError: an unknown parameter, or a value outside its range.
    """
    for place in range(len(given)):
        _checked_table(given, place, known, whose)


def _checked_table(
    given: Sequence[Mapping[str, Any]],
    place: int,
    known: Mapping[str, BaseDistribution],
    whose: str | None = None,
) -> dict[str, Any]:
    """One of the tables of [[enqueue]], as the study keeps its values."""
    try:
        return {name: _checked(name, value, known, whose) for name, value in given[place].items()}
    except UsageError as problem:
        raise UsageError(f"{enqueue_key(given, place)} {problem}") from None


def misfits(queued: Mapping[str, Any], ranges: Mapping[str, BaseDistribution]) -> list[str]:
    """What is outside of its range, such as "x=8: expected a number from -3.0 to 3.0"."""
    found = []
    for name in queued.keys() & ranges.keys():
        try:
            _checked(name, queued[name], ranges)
        except UsageError as problem:
            found.append(str(problem))
    return sorted(found)


def _known(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters of all trials, as the last one had them."""
    return {name: asked for trial in trials for name, asked in trial.distributions.items()}


def _checked(
    name: str, value: Any, known: Mapping[str, BaseDistribution], whose: str | None = None
) -> Any:
    """whose: what has the `known` parameters; None: the study's trials, if there is one yet."""
    if not known and whose is None:
        return value
    if name not in known:
        said = f"no trial had a parameter {name}"
        said = said if whose is None else f"{name}: {whose} has no such parameter"
        raise UsageError(f"{said}{did_you_mean_or_all(name, list(known))}")
    asked = known[name]
    if isinstance(asked, CategoricalDistribution):
        exact = [one for one in asked.choices if type(one) is type(value) and one == value]
        text = [one for one in asked.choices if str(one) == str(value)]
        fits = exact or text or [one for one in asked.choices if _is_as_number(one, value)]
        if not fits:
            choices = ", ".join(map(str, asked.choices))
            raise UsageError(f"{name}={value}: expected one of {choices}")
        return fits[0]
    assert isinstance(asked, FloatDistribution | IntDistribution)  # there are no others
    if not isinstance(value, int | float) or isinstance(value, bool) or not _within(value, asked):
        kind = "whole number" if isinstance(asked, IntDistribution) else "number"
        steps = f" in steps of {asked.step}" if asked.step not in (None, 1) else ""
        expected = f"a {kind} from {asked.low} to {asked.high}{steps}"
        raise UsageError(f"{name}={value}: expected {expected}")
    return value


def _is_as_number(one: Any, value: Any) -> bool:
    """1 is 1.0, and True is neither."""
    return not isinstance(one, bool) and not isinstance(value, bool) and bool(one == value)


def _within(value: float, asked: FloatDistribution | IntDistribution) -> bool:
    if not asked.low <= value <= asked.high:
        return False
    steps = (value - asked.low) / asked.step if asked.step else 0.0
    return abs(steps - round(steps)) < 1e-8
