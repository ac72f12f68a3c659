"""The journal file: backend, lock, lines, and Optuna's storage on it."""
