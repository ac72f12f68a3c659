"""What the diagnostics of a model say, and what follows from it."""
