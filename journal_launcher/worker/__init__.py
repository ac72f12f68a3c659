"""The child: runs the trials that the parent grants. What it learns from tables is in `tabular`."""
