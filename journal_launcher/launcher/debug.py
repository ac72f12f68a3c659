"""`--debug`: become one worker that runs one trial in this terminal."""

import json
import os
import sys
from typing import NoReturn

from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher.engines.local import WORKER_PROGRAM
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["debug_in_foreground"]


def debug_in_foreground(settings: LaunchSettings) -> NoReturn:
    """Replace this process by a pinned worker in debug mode; nothing reaches a journal."""
    check_inputs(settings)
    choice = devices_for(settings, os.environ)
    spec = plan_workers(settings, choice, available_cores(), os.environ)[0]
    for note in choice.notes:
        print(note, file=sys.stderr)
    task = {
        "settings": settings.to_json(),
        "device": spec.device.label,
        "device_uuid": spec.device.uuid,
        "threads": spec.threads,
    }
    command = [sys.executable, "-P", str(WORKER_PROGRAM), "--debug", json.dumps(task)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, dict(spec.environment))
