"""What can go wrong, each with the exit status it ends the command with.

A message is one line that says what happened and what to do. It never holds the key: `cli` blots it out besides.
"""

from __future__ import annotations


class ExtractError(Exception):
    """A failure that the user is told of in one line. Loads landed before it stay."""

    exit_status = 1
    words = ""
    """What the API said to it, where it said something. Shown after the message, unless it may hold an id."""

    def __str__(self) -> str:
        """The message, and what the API said."""
        return super().__str__() + self.words


class ConfigurationError(ExtractError):
    """Bad options or configuration, found before any request."""

    exit_status = 2


class ApiError(ExtractError):
    """An answer, or the lack of one, that another try would not better."""

    def __init__(self, message: str, words: str = "") -> None:
        """Take the message, and the API's own `words`."""
        super().__init__(message)
        self.words = words


class ErrorBodyError(ApiError):
    """An error in an answer whose status says success."""


class NoAccessError(ApiError):
    """The API does not answer this request with this key (401, 403), or knows no such address (404)."""

    def __init__(self, message: str, words: str = "", *, status: int) -> None:
        """Take the HTTP `status`."""
        super().__init__(message, words)
        self.status = status


class RefusedKeyError(NoAccessError):
    """The API does not let the key in, or not there: no other request will fare better."""


class RefusedQueryError(ApiError):
    """The API does not take the parameters of a request (status 400 or 422): other ones may do."""


class OtherPeriodError(ApiError):
    """An answer with figures of another period than the one asked for."""


class GivenUpError(ApiError):
    """A request that was tried as often and as long as allowed: the API may be away."""


class StaleCursorError(ApiError):
    """The API no longer knows the cursor it gave out: the list has to be read anew."""


class TransientError(ExtractError):
    """A failure that another try may better. `client` retries it, and turns the last one into an `ApiError`."""

    def __init__(
        self, message: str, words: str = "", *, retry_after: float | None = None, tries: int | None = None
    ) -> None:
        """Take the server's `retry_after` in seconds, and a number of `tries` after which this kind is given up."""
        super().__init__(message)
        self.words = words
        self.retry_after = retry_after
        self.tries = tries


class IncompleteError(ExtractError):
    """A list was read but not proven complete. It is read anew before this ends the run."""


class UnselectiveError(ExtractError):
    """The server does not select sessions by the window asked for: it is read once, whole."""


class WarehouseError(ExtractError):
    """The warehouse file cannot be used, or landing in it failed and was rolled back."""


class ShortOfMemoryError(WarehouseError):
    """DuckDB came to the limit of the memory that it was given."""


class DiskFullError(WarehouseError):
    """The disk, or the user's share of it, has no room for what DuckDB writes."""


class StoppedError(ExtractError):
    """Work that was stopped because other work failed. Never shown."""


class Interrupted(BaseException):
    """A signal asked the run to stop. What was not committed is rolled back."""

    def __init__(self, signal_number: int) -> None:
        """Keep the number of the signal: the exit status is 128 more."""
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_status = 128 + signal_number
