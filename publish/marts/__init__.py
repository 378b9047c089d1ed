"""A copy of the marts for readers: a database file and Parquet files, one version per build, which never changes."""
