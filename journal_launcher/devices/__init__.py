"""GPUs and cores: which there are, which are free, and how a worker is pinned."""
