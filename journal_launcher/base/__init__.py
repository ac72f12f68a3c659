"""Ground floor: settings, messages, file names, errors, atomic writes. Imports nothing of ours."""
