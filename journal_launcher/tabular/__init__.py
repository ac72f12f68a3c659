"""A library that learns from tables: it knows no launcher, no worker and no journal."""
