"""What rooms, launches and versions tell each other in JSON, as types: a misspelt key is an error.

They lie below `study`, because events carry a sidecar to the views, as they carry a verdict.
"""
