"""The loop of a launch: grant trials, watch, reap, restart, stop."""

import dataclasses
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from journal_launcher.base import events, messages
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import ExitCode
from journal_launcher.base.messages import FromWorker
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.processes import describe_exit
from journal_launcher.devices.choose import Device
from journal_launcher.devices.meter import GpuMeter
from journal_launcher.launcher.dispatch import Dispatcher
from journal_launcher.launcher.engine import WorkerProcess, left_behind
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.signals import SignalInbox
from journal_launcher.launcher.slot import MAX_LOSSES, Phase, Slot
from journal_launcher.launcher.stop import Stop, stopping
from journal_launcher.launcher.watchdog import SilenceWatch, TrialTimeout
from journal_launcher.settings.launch_settings import LaunchSettings

if TYPE_CHECKING:  # they import Optuna, which comes after the workers' start; few launches pack
    from journal_launcher.launcher.folders_elsewhere import FoldersElsewhere
    from journal_launcher.launcher.journal_service import JournalService
    from journal_launcher.launcher.ledger import TrialLedger
    from journal_launcher.launcher.packing import Packer

__all__ = ["Supervisor"]

Answer = messages.Prepared | messages.Staged

LOOK = 2.0  # seconds between two looks at the journal when nothing happens


@dataclass
class Supervisor:
    """One launch's policy: who may run a trial, and what follows from a death.

    `opened` is the second message to every worker, after its spec, once the study exists.
    `no_trials_after`: when the last trial may start; `limit`: seconds until the model must be
    published. `packer`: finds out how many workers a GPU gets, where that is not given.
    `through_parent`, `places_known`: see `engine.Engine`.
    `answer` holds the last message that a phase of the launch waits for (prepared, staged).
    """

    settings: LaunchSettings
    pool: WorkerPool
    emit: events.Listener
    inbox: SignalInbox
    no_trials_after: float | None
    paths: StudyPaths
    meter: GpuMeter | None = None
    packer: "Packer | None" = None
    limit: float | None = None
    through_parent: bool = False
    places_known: bool = False
    ledger: "TrialLedger | None" = None
    dispatcher: Dispatcher | None = None
    journal: "JournalService | None" = None
    folders: "FoldersElsewhere | None" = None
    opened: messages.Open | None = None
    stop: Stop | None = None
    answer: Answer | None = None
    _first_queued: bool = False
    _insisted: bool = False

    def __post_init__(self) -> None:
        self.silence = SilenceWatch(self.pool, self.emit)
        self.trial_timeout = TrialTimeout(self.pool, self.settings.trial_timeout)
        self._began = time.monotonic()

    # --- starting

    def start(self, *slots: Slot, prepares: Slot | None = None) -> None:
        """Start workers; a restarted one opens the study at once."""
        for slot in slots:
            self._start(slot, prepare=slot is prepares)
        for slot in slots:  # whoever hears it may import what draws: the processes come first
            assert slot.process is not None
            if not slot.hidden:
                label = slot.spec.device.label
                self.emit(events.WorkerStarted(slot.index, label, slot.process.log))

    def _start(self, slot: Slot, *, prepare: bool) -> None:
        process = self.pool.start(slot)
        device = slot.spec.device
        process.send(
            messages.Spec(
                settings=self.settings.to_json(),
                folder=str(self.paths.folder),
                study=self.paths.name,
                device=device.label,
                device_uuid=device.uuid,
                threads=slot.spec.threads,
                prepare=prepare,
                through_parent=self.through_parent,
            )
        )
        if self.opened is not None:
            process.send(self.opened)

    def prepare(self, slot: Slot, seed: int, begun: Identity | None) -> Answer | None:
        """Let one worker prepare the study; None if it cannot, or the launch stops first."""
        if slot.process is None:
            self.start(slot, prepares=slot)
        assert slot.process is not None
        slot.begin_preparation()
        slot.process.send(messages.Prepare(seed, begun))
        return self.await_answer(slot)

    def open(self, ledger: "TrialLedger", prepared: messages.Preparation, seed: int) -> None:
        """The study exists: tell every worker. Deaths before it did do not count."""
        self.ledger, self.opened = ledger, messages.Open(prepared, seed)
        if self.through_parent:
            from journal_launcher.launcher.journal_service import JournalService

            self.journal = JournalService(ledger.study.storage.journal)
            if self.settings.job_kind.has_folders:
                from journal_launcher.launcher.folders_elsewhere import FoldersElsewhere

                self.folders = FoldersElsewhere(ledger.study, self.paths)
        baselines = self.settings.job_kind.has_baselines
        self.dispatcher = Dispatcher(self.pool, ledger, baselines, self.folders)
        for slot in self.pool.slots:
            if slot.process is not None:
                slot.process.send(self.opened)
            elif slot.unusable:
                self._go_on_without(slot)
        if self.stop is None:
            self.pool.reset_deaths()

    # --- the loop

    def run_trials(self) -> None:
        """Return when the budget is reached or the launch stops, with no trial running."""
        while not self._is_over():
            self._pack()
            self._give_work()
            self.step()
        self.no_trials_after = None  # what follows has no trial to hold back

    def await_answer(self, slot: Slot) -> Answer | None:
        """Go on until `slot` answers; None if it died or the launch stops first."""
        self.answer = None
        process = slot.process
        while self.answer is None and slot.process is process and not self.aborting:
            self.step()
        return None if self.aborting else self.answer

    def await_places(self, slots: Sequence[Slot], seconds: float) -> None:
        """Wait until these workers' nodes were found to be right, or wrong; or no longer."""
        until = time.monotonic() + seconds
        while self.stop is None and time.monotonic() < until:
            if not any(slot.alive and not slot.placed for slot in slots):
                return
            self.step()

    def dismiss(self) -> None:
        """Let every worker leave, and wait until all are reaped."""
        self.limit = None  # what is published is no failure any more
        self.pool.dismiss()
        while any(slot.alive for slot in self.pool.slots):
            self.step()

    def step(self) -> None:
        """Sleep until something happens, then act on it."""
        self.pool.wait(self._seconds_to_next_deadline())
        for number in self.inbox.take():
            self._on_signal(number)
        for slot, message in self.pool.messages():
            self._on_message(slot, message)
        if self.journal is not None:
            self.journal.answer()
        self.pool.kill_overdue()
        for slot in self.pool.exited():
            self._on_exit(slot)
        self._check_deadlines()
        self.start(*self.pool.due())
        if self.ledger is not None:
            self.ledger.study.check()  # notice a vanished journal although every worker is busy
        self.silence.look()
        if self.meter is not None and (loads := self.meter.take()) is not None:
            loads = self.packer.take(loads) if self.packer is not None else loads
            self.emit(events.GpusMeasured(loads))

    def _seconds_to_next_deadline(self) -> float:
        now = time.monotonic()
        look = (self.meter and self.meter.period) or LOOK
        times = [now + look, *(at for _, at in self.trial_timeout.deadlines())]
        if self.no_trials_after is not None and self.stop is None:
            times.append(self.no_trials_after)
        opens_at = self.dispatcher.opens_at if self.dispatcher is not None else None
        if opens_at is not None and opens_at > now:  # no trial may be wanted: it stays unopened
            times.append(opens_at)
        return min(times) - now

    def _check_deadlines(self) -> None:
        if (
            self.no_trials_after is not None
            and self.stop is None
            and time.monotonic() >= self.no_trials_after
        ):
            self.begin_stop(Stop("timeout"))
        if self.limit is not None and time.monotonic() - self._began >= self.limit:
            self.begin_stop(Stop.failed(f"took longer than {self.limit:g} s (--step-timeout)"))
        self.trial_timeout.enforce()

    def _is_over(self) -> bool:
        if self.aborting:
            return not any(slot.alive for slot in self.pool.slots)
        assert self.dispatcher is not None
        if not self.dispatcher.are_settled():
            return False
        return self.stop is not None or not self.dispatcher.left()

    def _pack(self) -> None:
        assert self.dispatcher is not None
        if self.packer is not None and self.stop is None:
            for spec in self.packer.look(self.pool.slots, self.dispatcher.remaining):
                self.start(self.pool.add(spec))

    def _give_work(self) -> None:
        assert self.dispatcher is not None
        self.dispatcher.dispatch(trials=self.stop is None)

    @property
    def aborting(self) -> bool:
        return self.stop is not None and self.stop.abort

    # --- what workers say

    def _on_message(self, slot: Slot, message: FromWorker) -> None:
        match message:
            case messages.Prepared() | messages.Staged():
                self.answer = message
                slot.end_chore()
            case messages.Ready():
                self._on_ready(slot, message)
            case messages.Request():
                slot.free()
            case messages.Started(number):
                slot.begin_trial(number)
                self.emit(events.TrialStarted(slot.index, number, self._repeats(slot, number)))
            case messages.Progress():
                self.emit(events.TrialProgress(slot.index, **vars(message)))
            case messages.Note(text):
                self.emit(events.Note(f"{slot.spec.device.label}: {text}"))
            case messages.Ended():
                self._on_ended(slot, message)
            case messages.Scored(baselines) if self.ledger is not None:
                self.ledger.keep_baselines(baselines)
            case messages.Confirmed(number, found) if self.ledger is not None:
                self.ledger.keep_confirmation(number, found)
            case messages.Append() | messages.Read() if self.journal is not None:
                assert slot.process is not None
                self.journal.take(slot.process, message)
            case messages.Placed():
                self._on_placed(slot, message)
            case messages.File() | messages.Whole():
                slot.bring_back()
            case messages.Unusable():
                self._on_unusable(slot, message)
            case messages.Failed():
                self._on_failed(slot, message)
            case _:
                raise messages.unexpected(message)

    def _repeats(self, slot: Slot, number: int) -> int | None:
        """Only a queued trial can repeat one, so that most starts need no look at the journal."""
        queued = slot.work.grant is not None and slot.work.grant.trial is not None
        return self.ledger.repeats(number) if queued and self.ledger is not None else None

    def _on_placed(self, slot: Slot, message: messages.Placed) -> None:
        uuid, index, name = message.device_uuid, message.index, message.device
        slot.place(Device(message.kind, uuid, index, name, message.host))
        assert slot.process is not None
        self.emit(events.WorkerStarted(slot.index, slot.spec.device.label, slot.process.log))

    def _on_ready(self, slot: Slot, message: messages.Ready) -> None:
        assert self.ledger is not None and self.dispatcher is not None
        self.dispatcher.note_ready()
        if not self._first_queued:
            self.ledger.queue_first(message.defaults)
        self._first_queued = True
        self.emit(events.WorkerReady(slot.index))

    def _on_ended(self, slot: Slot, message: messages.Ended) -> None:
        assert self.ledger is not None
        slot.end_work()
        if self.packer is not None:
            self.packer.trial_ended(slot, message)
        if message.state == "FAIL":
            self.ledger.count_failure(message.reason, raised=message.raised)
        else:
            slot.count_success()
        reason = message.reason
        self.ledger.announce_end(slot.index, message.number, message.state, reason, message.seconds)
        if slot.process is not None and self.folders is not None:
            self.folders.remove_losers(slot.process)
        if message.incompatible:
            self.begin_stop(Stop.incompatible(reason or "", self.ledger.carry_over()))
        if message.stop:
            self.begin_stop(Stop("stopped"))
        self._check_failures(slot)

    def _on_unusable(self, slot: Slot, why: messages.Unusable) -> None:
        """Its device is not right; the worker ends by itself, and others may go on."""
        if slot.phase is not Phase.LEAVING:
            device = slot.spec.device
            device = dataclasses.replace(device, host=why.host or device.host)
            slot.unusable = f"{device.label}: {why.message}"
            slot.shut_down()

    def _on_failed(self, slot: Slot, message: messages.Failed) -> None:
        """A worker that cannot go on: bad input, an import error, a broken journal. No retry."""
        text = message.message
        code = ExitCode(message.exit_code)
        if code == ExitCode.USAGE and self.ledger is not None:
            code = ExitCode.FAILED  # the study exists: something was started
        traceback = "" if self.aborting else message.traceback or ""  # once, not once a worker
        if traceback and code != ExitCode.USAGE:  # after which no log is left
            assert slot.process is not None
            text = f"{text} ({slot.spec.device.label}, log {slot.process.log})"
        elif slot.host is not None:
            text = f"{slot.host}: {text}"
        if traceback:
            level = "info" if message.internal else "warning"
            self.emit(events.Note(traceback.rstrip(), level))
        self.begin_stop(Stop.failed(text, code))
        slot.shut_down()

    # --- failures and deaths

    def _check_failures(self, slot: Slot) -> None:
        """Stop after too many; `slot`: where the last one was."""
        log = self.paths.worker_log(slot.index)
        if self.ledger is not None and (text := self.ledger.reason_to_stop(log)) is not None:
            self.begin_stop(Stop.failed(text))

    def _on_exit(self, slot: Slot) -> None:
        process = slot.process
        assert process is not None
        for message in process.receive():  # said just before it died
            self._on_message(slot, message)
        if self.journal is not None:
            self.journal.answer()  # what it wrote counts; after this nobody reads its words
        expected = slot.phase is Phase.LEAVING or self.aborting
        status = self.pool.reap(slot)
        if status is None:
            self.emit(events.Note(left_behind(process.pid), "warning"))
        ended = "killed, but it does not end" if status is None else describe_exit(status)
        lost = process.lost and slot.ending.trials_fault is None and slot.losses < MAX_LOSSES
        problem = slot.ending.trials_fault or f"worker {'was lost' if lost else ended}"
        if self.ledger is not None:
            seconds = time.monotonic() - slot.work.since
            innocent = self.aborting or lost
            self._say_what_is_gone(slot, process)
            self.ledger.fail_trial_of(slot.index, problem, seconds, interrupted=innocent)
            self._check_failures(slot)
        slot.end_work()
        if lost and not (slot.placed or self.places_known or expected):
            said = process.log_tail(1) or f"exit status {status}"
            slot.unusable = f"{slot.spec.device.label}: no worker started there: {said}"
            expected = True
        if expected:
            slot.close()
            self.emit(events.WorkerEnded(slot.index))
            if slot.unusable or slot.retiring:
                self._on_closed(slot)
            return
        tail = process.log_tail()
        stays = self.stop is None and status is not None and not slot.retiring
        if lost and stays:
            problem += f", tried again in {slot.count_loss():.0f} s"
        self.emit(events.WorkerEnded(slot.index, f"{problem}, log {process.log}\n{tail}".rstrip()))
        if not stays:
            slot.close()
            self._on_closed(slot, problem, tail)
        elif slot.ending.trials_fault:  # its trial was to blame
            slot.schedule_restart(0.0)
        elif not lost:
            slot.count_death()
            if slot.phase is Phase.CLOSED:
                self._on_closed(slot, problem, tail)

    def _say_what_is_gone(self, slot: Slot, process: WorkerProcess) -> None:
        """A trial that is run again may begin anew, but never without a word."""
        if self.folders is not None and slot.work.trial is not None:
            host = slot.spec.device.host or "its node"
            text = self.folders.said_of_lost(process, slot.work.trial, host)
            if text is not None:
                self.emit(events.Note(text, "warning"))

    def _on_closed(self, slot: Slot, problem: str = "", tail: str = "") -> None:
        """A worker will not be started again. Before the study exists, `prepare` sees to that.

        problem, tail: of its end, and of its log's.
        """
        if self.ledger is None or self.stop is not None:
            return
        if not any(s.alive or s.phase is Phase.DOWN for s in self.pool.slots):
            last = f"all died, the last one on {slot.spec.device.label}: {problem}"
            if tail:
                last += f"; its log ends with {tail.splitlines()[-1].strip()!r}"
            self.begin_stop(Stop.failed(f"no worker is left: {slot.unusable or last}"))
        elif slot.unusable:
            self._go_on_without(slot)

    def _go_on_without(self, slot: Slot) -> None:
        self.emit(events.Note(f"{slot.unusable}; going on without it", "warning"))

    # --- stopping

    def begin_stop(self, stop: Stop) -> None:
        """Grant nothing more, for this reason unless a weightier one stands already."""
        if (standing := stop.after(self.stop)) is not self.stop:
            self.stop = standing
            if self.ledger is not None:  # before that there is nothing to stop
                self.emit(events.PhaseChanged("stopping"))
            self.pool.close_waiting()
        if self.aborting:
            self.pool.terminate_all()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGINT and self.aborting:  # the second Ctrl-C, or the third
            if self._insisted:
                self.pool.give_up()
            self.pool.kill_all()
            self._insisted = True
        elif self.ledger is not None and not self.aborting:
            self.emit(events.Note(stopping(number, self.settings.job_kind.stop_grace)))
        self.begin_stop(Stop.by_signal(number))
