"""Signals that come while the parent's loop does not turn."""

import signal

from launcher.harness import Workshop, finish, wait_until

from journal_launcher.study.journal.lock import JournalLock

BUSY = """
def objective(trial):
    note("running")
    told("go")
    return 0.0
"""


def test_three_ctrl_c_end_a_parent_that_waits_for_the_journals_lock(workshop: Workshop) -> None:
    workshop.write(BUSY)
    process = workshop.start("--n-trials", "1")
    workshop.noted("running")
    lock = JournalLock(str(workshop.paths.journal))
    lock.acquire()  # as somebody does who is stopped in an append
    try:
        process.send_signal(signal.SIGINT)
        side = workshop.paths.journal.with_name("study.log.flock").stat().st_ino
        waiting = f"-> FLOCK  ADVISORY  WRITE {process.pid} "
        wait_until(lambda: _waits(waiting, side), 30)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            wait_until(lambda: not _pending(process.pid))
        ended = finish(process, 30)
    finally:
        lock.release()
    assert ended.code == 130 and "Traceback" not in ended.err, ended.err
    wait_until(lambda: workshop.processes() == [], 5)
    workshop.tell("go")
    assert workshop.launch(n_trials=1).exit_code == 0
    assert workshop.states() == ["FAIL", "COMPLETE"]


def _waits(who: str, inode: int) -> bool:
    with open("/proc/locks") as locks:
        return any(who in line and f":{inode} " in line for line in locks)


def _pending(pid: int) -> bool:
    """Has a signal not been delivered yet?"""
    with open(f"/proc/{pid}/status") as status:
        masks = (line.split()[1] for line in status if line.startswith(("SigPnd", "ShdPnd")))
        return any(int(mask, 16) for mask in masks)
