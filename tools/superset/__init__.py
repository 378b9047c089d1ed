"""Registers the published marts and one dashboard at a running Superset: `python -m tools.superset`."""
