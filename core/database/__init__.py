"""The one place that names, creates, opens, locks and checkpoints a DuckDB file: for `extract`, `publish` and dbt."""
