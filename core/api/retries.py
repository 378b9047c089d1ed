"""The retry policy: how often a request is sent, for how long, and after which pauses.

Waits for a turn to send (`turns`) are no part of it: they do not count against the time of a request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import tenacity

from core.clock import utc_now
from core.errors import ApiError, GivenUpError, StoppedError, TransientError
from core.settings import ApiSettings

logger = logging.getLogger("miosa_billing")

T = TypeVar("T")

_back_off = tenacity.wait_exponential_jitter(multiplier=0.25, max=30.0, jitter=0.25)


class RetryPolicy:
    """Repeats attempts that fail with `TransientError`, within the budgets of the settings. Any thread may use it."""

    def __init__(self, settings: ApiSettings) -> None:
        """Take the budgets from the settings."""
        self._max_tries = settings.max_tries
        self._max_seconds = settings.max_seconds
        self._stopped = threading.Event()
        self._waits = _Waits()
        self._retrying = tenacity.Retrying(
            stop=lambda state: self._is_used_up(state) or _has_used_own_tries(state),
            wait=_pause_seconds,
            retry=tenacity.retry_if_exception_type(TransientError),
            sleep=self._sleep,
            before_sleep=_log_retry,
            retry_error_callback=self._give_up,
        )

    def repeat(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it returns, or raises another error than `TransientError`. Raises `GivenUpError`."""
        self._waits.seconds = 0.0
        result: T = self._retrying(attempt)
        return result

    def exempt(self, seconds: float) -> None:
        """Leave out so many seconds of this thread's request: it waited for its turn."""
        self._waits.seconds += seconds

    def refuse_for_good(self, error: TransientError, seconds: float) -> None:
        """Raise `GivenUpError` if the API asks for a pause, or has refused everything, for longer than a request lasts.

        `seconds`: for how long the API has refused everything.
        """
        if error.retry_after and error.retry_after > self._max_seconds:
            raise _too_long(error) from error
        if seconds > self._max_seconds:
            raise GivenUpError(
                f"{error}; the API has refused every request for {seconds:.0f} s: run again later, "
                "it goes on from there"
            ) from error

    def stop(self) -> None:
        """End all pauses between tries, and further tries, with `StoppedError`."""
        self._stopped.set()

    def _sleep(self, seconds: float) -> None:
        """Wait. Raises `StoppedError` once the policy is stopped."""
        if self._stopped.wait(seconds):
            raise StoppedError("stopped")

    def _is_used_up(self, state: tenacity.RetryCallState) -> bool:
        """Whether the tries are used up, or the time will be by the end of the next pause."""
        return (
            state.attempt_number >= self._max_tries
            or self._seconds_used(state) + state.upcoming_sleep >= self._max_seconds
        )

    def _seconds_used(self, state: tenacity.RetryCallState) -> float:
        """The seconds since the request began, without its waits for a turn."""
        return max(0.0, (state.seconds_since_start or 0.0) - self._waits.seconds)

    def _give_up(self, state: tenacity.RetryCallState) -> Any:
        """Turn the last failure into the error that ends the run."""
        error = _failure(state)
        if error is None:  # only such failures are repeated
            raise ApiError("no answer")
        seconds = self._seconds_used(state)
        if error.retry_after and error.retry_after > self._max_seconds - seconds:
            raise _too_long(error) from error
        raise GivenUpError(
            f"{error}; given up after {state.attempt_number} tries in {seconds:.0f} s: run again later, "
            "it goes on from there"
        ) from error


class _Waits(threading.local):
    """The seconds that the request of each thread has waited for its turn."""

    seconds = 0.0


def _too_long(error: TransientError) -> GivenUpError:
    """The error for a pause that a request has no time for."""
    return GivenUpError(f"{error}; the API asks to come back {_moment(error.retry_after or 0.0)}: run again then")


def _has_used_own_tries(state: tenacity.RetryCallState) -> bool:
    """Whether this kind of failure has had its own, smaller number of tries."""
    error = _failure(state)
    return error is not None and error.tries is not None and state.attempt_number >= error.tries


def _pause_seconds(state: tenacity.RetryCallState) -> float:
    """Exponential back-off with jitter, but never shorter than the server asks."""
    error = _failure(state)
    return max(_back_off(state), (error.retry_after if error else None) or 0.0)


def _failure(state: tenacity.RetryCallState) -> TransientError | None:
    """The failure of the latest try, if another try may better it."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientError) else None


def _log_retry(state: tenacity.RetryCallState) -> None:
    """Log why and for how long a request waits."""
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.info("try %d failed: %s; again in %.1f s", state.attempt_number, _failure(state), pause)


def _moment(seconds_from_now: float) -> str:
    """A moment in the future, to be shown."""
    try:
        return f"at {utc_now() + timedelta(seconds=seconds_from_now):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError):
        return f"in {seconds_from_now:.3g} s"
