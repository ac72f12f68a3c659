"""Which trials are scored once more on fresh folds, what came of it, and which of them wins.

The best of many trials has a score that is too good: it was chosen by it. The top few are therefore
scored again on folds that chose nothing, and those scores decide. They are study attributes, one
for each trial, so they survive whatever kills a launch and are no trials.
"""

from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study import attributes
from journal_launcher.study.study import StudyHandle

__all__ = [
    "attribute_name",
    "best_trial",
    "candidates",
    "confirmation_of",
    "has_fresh_folds",
    "keep_confirmation",
    "unconfirmed",
    "winner",
]


def attribute_name(number: int) -> str:
    """The study attribute that holds a trial's confirmation."""
    return f"journal_launcher_confirmed_{number}"


def confirmation_of(study: StudyHandle, number: int) -> Confirmation | None:
    """Of a trial that was confirmed."""
    return attributes.confirmation(study.attribute(attribute_name(number)))


def keep_confirmation(study: StudyHandle, number: int, found: Confirmation) -> None:
    study.set_attribute(attribute_name(number), found.to_json())


def candidates(study: StudyHandle, top: int) -> list[FrozenTrial]:
    """The `top` best trials that can be confirmed, best first; 0 is none."""
    return study.ranked()[:top] if has_fresh_folds(study) else []


def has_fresh_folds(study: StudyHandle) -> bool:
    """Not by time: there the folds follow from the rows' order, and no seed changes them."""
    return study.identity is not None and study.identity.split_kind not in (None, "time")


def unconfirmed(study: StudyHandle, top: int) -> list[int]:
    """Numbers of the candidates without a confirmed score."""
    numbers = [trial.number for trial in candidates(study, top)]
    return [number for number in numbers if confirmation_of(study, number) is None]


def winner(study: StudyHandle, top: int) -> FrozenTrial | None:
    """The candidate with the best confirmed score; without any such score, the best trial.

    Only today's candidates count, so that a study's winner does not depend on where it was stopped
    in between.
    """
    sign = 1 if study.directions[:1] == ("minimize",) else -1
    scored = [
        (sign * found.score, place, trial)
        for place, trial in enumerate(candidates(study, top))
        if (found := confirmation_of(study, trial.number)) and found.score is not None
    ]
    return min(scored)[2] if scored else study.best()


def best_trial(study: StudyHandle) -> FrozenTrial | None:
    """The winner by the settings of the last launch: what it published, or would publish now."""
    top = attributes.whole(study.settings.get("confirm", LaunchSettings.confirm))
    return winner(study, top or 0)
