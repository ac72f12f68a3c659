"""optuna-dashboard over the studies of a folder: shown.py is what it reads, server.py who may."""
