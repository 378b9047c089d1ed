"""What `extract` and `publish` share: API client, database file, raw layer, command-line frame, settings and errors.

Nothing here imports another package of ours.
"""

__version__ = "0.1.0"
