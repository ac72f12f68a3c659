"""`journal-launcher init`: a config file and an example objective, here; or a Slurm job."""

import os
from pathlib import Path

import click

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import absolute, typed
from journal_launcher.settings.config_file import explained

__all__ = ["command"]

_CONFIG = Path("study.toml")
_SCRIPT = Path("example.py")
_HEADER = f"""\
# Every option of `journal-launcher run --config {_CONFIG}` with its default; take the # away to
# set one. Flags and environment variables (JOURNAL_LAUNCHER_N_TRIALS) come before this file.

"""
_JOB = Path("study.sbatch")
_BATCH = """\
#!/bin/bash
# A study as a Slurm job: `sbatch study.sbatch`, with options of `run` behind it if you like; they
# come before those of study.toml. One worker a GPU; of a job without GPUs, one a task (--ntasks=8
# --cpus-per-task=4). At its time limit the job queues itself again, preempted Slurm does it;
# cancelled or killed, the study goes on where it was when the same line is typed.
#SBATCH --job-name=study
#SBATCH --nodes=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-gpu=4
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@120

if [ $# -eq 0 ] || [ -e study.toml ]; then
  set -- --config study.toml "$@"
fi
told=
{run} run --engine slurm "$@" &
study=$!
trap 'told=yes; kill -TERM $study' TERM # two minutes before the limit, as --signal says
wait $study
code=$?
while kill -0 $study 2>/dev/null; do # it was the trap that ended the wait
  wait $study
  code=$?
done
if [ -n "$told" ] && [ $code -eq 75 ]; then
  case $(squeue --noheader --jobs "$SLURM_JOB_ID" --format=%T) in
    COMPLETING | CANCELLED) ;; # by scancel: it is over
    *) scontrol requeue "$SLURM_JOB_ID" ;; # queue this job once more; it goes on with the study
  esac
fi
exit $code
"""


@click.command()
@click.option("--slurm", is_flag=True, help="Write study.sbatch instead: a Slurm job that runs it.")
def command(slurm: bool) -> None:
    """Write study.toml, which explains every option, and example.py.

    Both go into the current directory; nothing is ever overwritten.
    """
    if slurm:
        _write({_JOB: _BATCH.format(run=typed())})
        click.echo(f"try: sbatch {_JOB}", err=True)
        return
    config = _HEADER + explained({"objective": f"{_SCRIPT}:objective"})
    example = Path(__file__).with_name("example.py").read_text()
    _write({_SCRIPT: example, _CONFIG: config})
    click.echo(f"try: {typed()} run --config {_CONFIG}", err=True)


def _write(files: dict[Path, str]) -> None:
    for path in reversed(files):
        if os.path.lexists(path):
            raise UsageError(f"{absolute(path)} exists; move it away, or type this elsewhere")
    for path, content in files.items():
        try:
            with path.open("x") as file:
                file.write(content)
        except OSError as error:
            raise UsageError(f"{absolute(path)}: cannot be written: {error.strerror}") from None
        click.echo(f"wrote {path}")
