"""What `extract` and `publish` both stand on: API client, database file, command-line frame, settings and errors.

Nothing here imports `extract` or `publish`.
"""

__version__ = "0.1.0"
