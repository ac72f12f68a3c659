"""From settings to devices, and from those to worker blueprints. No process, no file."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from journal_launcher.base.errors import UsageError
from journal_launcher.devices.choose import CPU, Choice, choose_devices, pin_environment
from journal_launcher.devices.claims import claimant_of
from journal_launcher.devices.cpus import threads_per_worker
from journal_launcher.devices.nvml import Nvml, open_nvml
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["devices_for", "plan_workers"]


def devices_for(
    settings: LaunchSettings,
    environment: Mapping[str, str],
    claim: Callable[[str], str | None] = claimant_of,
    sleep: Callable[[float], None] = time.sleep,
    nvml: Callable[[], AbstractContextManager[Nvml]] = open_nvml,
) -> Choice:
    """The devices that `--gpus` means for this model type; see `choose_devices` for the errors."""
    if settings.cpu_only and settings.gpus == "auto":
        return Choice((), (f"running on the CPU: {settings.model_type} cannot use a GPU",))
    return choose_devices(
        settings.gpus,
        environment,
        together=settings.gpus_per_worker,
        nvml=nvml,
        claim=claim,
        sleep=sleep,
    )


def plan_workers(
    settings: LaunchSettings, choice: Choice, cores: int, environment: Mapping[str, str]
) -> tuple[WorkerSpec, ...]:
    """One blueprint per worker: its device, its share of `cores`, its whole environment.

    Raises:
        UsageError: CPU workers asked for together with GPUs.
    """
    if choice.devices and settings.workers is not None:
        raise UsageError(
            f"--workers counts CPU workers, but this launch uses {len(choice.devices)} GPU(s); "
            "use --workers-per-gpu N, or --gpus none"
        )
    if not choice.devices and settings.workers_per_gpu != 1:
        raise UsageError("--workers-per-gpu: this launch uses no GPU; use --workers N")
    if not choice.devices and settings.gpus_per_worker != 1:
        raise UsageError("--gpus-per-worker: this launch uses no GPU; use --workers N")
    devices = [device for device in choice.devices for _ in range(settings.first_per_gpu)]
    devices = devices or [CPU] * (settings.workers or 1)
    threads = threads_per_worker(cores, len(devices))
    return tuple(
        WorkerSpec(index, device, threads, pin_environment(device, threads, environment))
        for index, device in enumerate(devices)
    )
