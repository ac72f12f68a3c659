"""Who starts a worker's process, and where."""
