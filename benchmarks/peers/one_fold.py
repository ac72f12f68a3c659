"""The process that a design with a process per fold starts: train one fold, print its score."""

import sys

from folds import loader_fold

print(loader_fold(*map(int, sys.argv[1:])))
