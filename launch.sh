#!/usr/bin/env bash
# Start journal_launcher from any directory, without installing anything by hand.
#
#   ./launch.sh --gpus auto              all but `test` and `pip` goes to python -m journal_launcher
#   ./launch.sh test [--slow] [-k name]  run our own tests; further arguments go to pytest, and
#                                        -n 0 runs one test at a time, as --slow and --pdb do
#   ./launch.sh test --gpu [--cpu]       those that need a GPU; with --cpu a small dry run
#   ./launch.sh pip install NAME         pip of our own .venv, which keeps the versions that we need
#
# The Python is $JOURNAL_LAUNCHER_PYTHON, else that of an active virtual or conda environment that
# has journal_launcher, else our own .venv beside this file, set up by journal_launcher/bootstrap.py.
set -euo pipefail
export JOURNAL_LAUNCHER_TYPED=$0 # the commands that the program suggests can be pasted

# Python answers a Ctrl-C during its own start with a traceback: it is held back until the program
# takes it, where `env` can do that. And bash forgets one that comes while it takes the output of
# $(command): none of these stands on the common way.
trap 'exit 130' INT
hold=(sh -c 'exec "$0" "$@"') # env itself would take a path with an = in it for a variable
env --block-signal=INT true 2>/dev/null && hold=(env --block-signal=INT "${hold[@]}")

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

# -P here and below: what lies in the current directory must never be imported.
has_launcher() { "${hold[@]}" "$1" -P -c 'import journal_launcher' >/dev/null 2>&1; }

find_python() { # sets python
  for python in python3 python3.13 python3.12 python3.11; do # a pyenv shim may exist and fail
    if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      return
    fi
  done
  fail "expected Python 3.11 or newer, found $(python3 --version 2>/dev/null || printf 'none');\
 install one (apt install python3-venv, or python3.11-venv where that is too old;\
 dnf install python3.11; or https://www.python.org/downloads/) and type the same command again"
}

# bootstrap.py writes .venv/$1.stamp last, so an interrupted or outdated set-up is never ready.
is_ready() {
  [[ -x $venv/bin/python && -r $venv/$1.stamp ]] &&
    [[ $(<"$venv/$1.stamp") == "$(<"$root/pyproject.toml")"$'\n'"$(<"$root/constraints.txt")" ]]
}

prepare_own_venv() { # $1: launch or test
  unset PYTHONHOME # as `activate` does: with it, the Python of a virtual environment cannot start
  if ! is_ready "$1"; then
    local python
    find_python
    # It exits with 2, and so do we, if it fails.
    "${hold[@]}" "$python" -I "$root/journal_launcher/bootstrap.py" "$1"
  fi
}

run_with() { # $1: a Python of the user's own; then the arguments
  [[ ${2-} != pip ]] || fail "expected to run in $venv, found $1 in use; type:\
 '$1' -m pip ${*:3}"
  exec "${hold[@]}" "$1" -P -m journal_launcher "${@:2}"
}

self=${BASH_SOURCE[0]}
while [[ -L $self ]]; do
  target=$(readlink -- "$self")
  [[ $target == /* ]] || target=$(dirname -- "$self")/$target
  self=$target
done
[[ $self == /* ]] || self=$PWD/${self#./}
root=${self%/*}
venv=$root/.venv

opens_gpu() { "$venv/bin/python" -P -c 'import torch; torch.ones(1, device="cuda")' 2>/dev/null; }

if [[ ${1-} == test ]]; then
  shift
  kind=${1-}
  if [[ $kind == --slow || $kind == --gpu ]]; then
    shift
  else # three processes are busy on two cores: tests wait a third of their time
    processes=3
    [[ " $* " == *' --pdb '* ]] && processes=0
    set -- -n "$processes" --dist worksteal -m 'not slow' "$@"
  fi
  prepare_own_venv test
  cd -- "$root"
  if [[ $kind == --gpu ]]; then
    [[ " $* " == *' --cpu '* ]] || opens_gpu ||
      fail "expected a GPU that torch can open, found none; --cpu after --gpu makes a dry run"
    set -- tests/gpu "$@"
  fi
  exec "$venv/bin/python" -P -m pytest "$@"
fi

if [[ -n ${JOURNAL_LAUNCHER_PYTHON-} ]]; then
  has_launcher "$JOURNAL_LAUNCHER_PYTHON" ||
    fail "JOURNAL_LAUNCHER_PYTHON=$JOURNAL_LAUNCHER_PYTHON cannot import journal_launcher; type:\
 '$JOURNAL_LAUNCHER_PYTHON' -m pip install '$root'"
  run_with "$JOURNAL_LAUNCHER_PYTHON" "$@"
fi

for active in "${VIRTUAL_ENV-}" "${CONDA_PREFIX-}"; do
  if [[ -n $active && ! $active -ef $venv ]] && has_launcher "$active/bin/python"; then
    run_with "$active/bin/python" "$@"
  fi
done

prepare_own_venv launch
if [[ ${1-} == pip ]]; then
  exec "${hold[@]}" "$venv/bin/python" -I "$root/journal_launcher/bootstrap.py" "$@"
fi
exec "${hold[@]}" "$venv/bin/python" -P -m journal_launcher "$@"
