"""The study on disk: the crash-safe journal, its lock and repair, and what is read from it."""
