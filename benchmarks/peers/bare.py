"""One of N bare processes: its share of the trials, and nothing else."""

import sys

from objective import run

n_trials, n_workers, worker = map(int, sys.argv[1:])
for index in range(worker, n_trials, n_workers):
    run(index)
