"""What every worker did when: its trials, and the gaps between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.events import DIED_WITH_LAUNCH
from journal_launcher.study.owner import owner_of

__all__ = ["Lane", "Stay", "Timeline", "timeline_of"]

Span = tuple[float, float]
_LEAST = 0.01  # seconds; what is shorter is no gap that anybody could use


@dataclass(frozen=True)
class Stay:
    """A trial on its worker, from `begin` to `end` in seconds.

    lane: the worker, and where; None for a trial of a foreign writer. launch: which one ran it.
    """

    number: int
    state: str
    lane: str | None
    launch: str | None
    begin: float
    end: float


@dataclass(frozen=True)
class Lane:
    """One worker: its trials in order, and the spans of the launches in which it had any."""

    name: str
    stays: tuple[Stay, ...]
    present: tuple[Span, ...]

    @property
    def busy(self) -> float:
        """Seconds in which it ran a trial."""
        return sum(stay.end - stay.begin for stay in self.stays)

    @property
    def time(self) -> float:
        """Seconds for which its launches had trials under way."""
        return sum(end - begin for begin, end in self.present)

    def gaps(self) -> Iterator[Span]:
        """When it had nothing to do though its launch went on, in order."""
        for begin, end in self.present:
            for stay in self.stays:
                if begin <= stay.begin <= end:
                    if stay.begin - begin > _LEAST:
                        yield begin, stay.begin
                    begin = max(begin, stay.end)
            if end - begin > _LEAST:
                yield begin, end


@dataclass(frozen=True)
class Timeline:
    """Seconds since the first trial began, without the pauses between launches.

    launches: the span of each, from the begin of its first trial to the end of its last one.
    """

    lanes: tuple[Lane, ...] = ()
    launches: tuple[Span, ...] = ()

    @property
    def stays(self) -> list[Stay]:
        """Of all lanes, in the order of their ends."""
        return sorted((s for lane in self.lanes for s in lane.stays), key=lambda stay: stay.end)


def timeline_of(trials: Iterable[tuple[FrozenTrial, str]], now: float | None) -> Timeline:
    """Put trials with their states in order.

    now: seconds since 1970 until which running trials last; None if none runs: what is left of
    those lasts as long as what else its launch did.
    """
    stays = (_stay(trial, state, now) for trial, state in trials)
    groups = _by_launch(sorted((s for s in stays if s is not None), key=lambda stay: stay.begin))
    launches: list[Span] = []
    lanes: dict[str, list[Stay]] = {}
    present: dict[str, dict[Span, None]] = {}
    start = 0.0
    for group in groups:
        first = group[0].begin
        length = max(max(stay.begin, stay.end) for stay in group) - first
        launches.append((start, start + length))
        for stay in group:
            end = first + length if stay.state in ("running", "stale") else stay.end
            begin = stay.begin - first + start
            name = stay.lane or _free(lanes, begin)
            moved = replace(stay, begin=begin, end=max(begin, end - first + start))
            lanes.setdefault(name, []).append(moved)
            present.setdefault(name, {})[launches[-1]] = None
        start += length
    ordered = sorted(lanes, key=_in_order)
    found = (Lane(name, tuple(lanes[name]), tuple(present[name])) for name in ordered)
    return Timeline(tuple(found), tuple(launches))


def _stay(trial: FrozenTrial, state: str, now: float | None) -> Stay | None:
    begun = trial.datetime_start
    if begun is None:
        return None
    owner = owner_of(trial.user_attrs)
    begin = begun.timestamp()
    end = begin if trial.datetime_complete is None else trial.datetime_complete.timestamp()
    if state == "running" and now is not None:
        end = now
    said = TrialAttributes.from_json(trial.user_attrs)
    if (said.fail_reason or "").endswith(DIED_WITH_LAUNCH):
        end = begin  # when, nobody knows; the next launch noticed it
    device = said.placed.device
    lane = None if owner is None else f"worker {owner.worker}" + (f", {device}" if device else "")
    launch = None if owner is None else owner.launch
    return Stay(trial.number, state, lane, launch, begin, end)


def _by_launch(stays: Sequence[Stay]) -> list[list[Stay]]:
    """A launch begins where the one that ran before has no trial left."""
    groups: list[list[Stay]] = []
    over = 0.0
    for stay in stays:
        if not groups or (stay.launch != groups[-1][-1].launch and stay.begin >= over):
            groups.append([])
        groups[-1].append(stay)
        over = max(over, stay.end)
    return groups


def _free(lanes: dict[str, list[Stay]], begin: float) -> str:
    """A lane for a foreign writer's trial: the first whose last trial has ended."""
    number = 1
    while (name := f"another writer ({number})") in lanes and lanes[name][-1].end > begin:
        number += 1
    return name


def _in_order(name: str) -> tuple[str, int, str]:
    """Worker 10 after worker 9."""
    kind, _, rest = name.partition(" ")
    digits = rest.partition(",")[0]
    return kind, int(digits) if digits.isdecimal() else 0, name
