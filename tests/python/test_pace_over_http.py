"""The pace of requests over HTTP: threads, clocks and sockets are real, and windows are short."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.api.client import Client
from core.errors import GivenUpError, StoppedError
from simulator.app import DEFAULT_API_KEY
from simulator.limiter import Limit, Limiter
from simulator.server import Server
from test_extract_support import ROOT, Options, Tenant, land, query, row, serve, settings_for

UNUSED = Path("unused.duckdb")


@contextmanager
def limited(**limit: Any) -> Iterator[tuple[Server, Limiter]]:
    """A simulator that limits the rate of requests."""
    with serve(Tenant.from_rows([]), Options(rate_limit=Limit(**limit), latency_ms=5)) as server:
        assert server.limiter is not None
        yield server, server.limiter


def ask(client: Client, requests: int, threads: int = 16) -> float:
    """Send so many requests. Returns the seconds that they took."""
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: client.get("/usage/summary", {}, lambda answer: answer.body), range(requests)))
    return time.monotonic() - began


@pytest.mark.parametrize(
    "limit",
    [
        {"kind": "window", "retry_after": "none"},
        {"kind": "window", "retry_after": "seconds", "headers": "x-epoch"},
        {"kind": "bucket", "retry_after": "body"},
        {"kind": "bucket", "retry_after": "date", "headers": "policy"},
    ],
    ids=lambda each: " ".join(each.values()),
)
def test_threads_share_one_budget(limit: dict[str, str]) -> None:
    with limited(requests=10, seconds=1.0, **limit) as (server, limiter):
        # As few tries, and as little time, as would fail if refusals and waits for a turn counted.
        with Client(settings_for(server.base_url, UNUSED, max_tries=1, max_seconds=5)) as client:
            seconds = ask(client, 100)
        assert len(limiter.accepted_at) == 100
        # The first seconds are for learning, and the machine may be busy: test_pace.py holds the pace to its targets.
        assert seconds < 2 * limiter.seconds_allowed(100) + 3
        assert limiter.refused_share(3) <= 0.1


def test_a_pace_set_by_hand_is_kept_from_the_first_request_on() -> None:
    with limited(requests=60, seconds=1.0) as (server, limiter):
        with Client(settings_for(server.base_url, UNUSED, requests_per_minute=600)) as client:
            assert client.pace_per_minute == 600
            seconds = ask(client, 30)
        assert not limiter.refused_at
        assert 2.8 <= seconds <= 15


def test_headers_say_the_pace_before_any_refusal() -> None:
    with (
        limited(requests=60, headers="policy") as (server, limiter),
        Client(settings_for(server.base_url, UNUSED)) as client,
    ):
        assert client.pace_per_minute is None
        ask(client, 1)
        assert client.pace_per_minute == 60
        assert not limiter.refused_at


def test_the_limit_that_is_met_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "miosa_billing")
    with (
        limited(requests=20, seconds=1.0, headers="separate") as (server, _),
        Client(settings_for(server.base_url, UNUSED)) as client,
    ):
        ask(client, 50)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    for part in ("429", "a limit of 20 requests in 1 s", "--requests-per-minute"):
        assert part in warnings[0]
    assert any("requests per minute, learned from the API" in record.getMessage() for record in caplog.records)


def test_an_api_that_refuses_everything_ends_the_run() -> None:
    """Nothing else does: its refusals are no tries."""
    with (
        limited(requests=1, seconds=3600, retry_after="none") as (server, _),
        Client(settings_for(server.base_url, UNUSED, max_seconds=1)) as client,
    ):
        ask(client, 1)
        with pytest.raises(GivenUpError, match="refused every request for"):
            ask(client, 1)


def test_a_wait_that_is_too_long_ends_the_run_at_once() -> None:
    with limited(requests=1, seconds=3600, headers="x-seconds", retry_after="none") as (server, limiter):
        with Client(settings_for(server.base_url, UNUSED)) as client:
            ask(client, 1)
            with pytest.raises(GivenUpError, match="come back at"):
                ask(client, 1)
        assert len(limiter.refused_at) == 1


def test_closing_the_client_ends_the_waits_for_a_turn() -> None:
    ended: list[BaseException] = []

    def work(client: Client) -> None:
        try:
            ask(client, 4, threads=1)
        except StoppedError as error:
            ended.append(error)

    with limited(requests=2, seconds=60) as (server, limiter):
        with Client(settings_for(server.base_url, UNUSED)) as client:
            threads = [threading.Thread(target=work, args=[client]) for _ in range(3)]
            for thread in threads:
                thread.start()
            while not limiter.refused_at:
                time.sleep(0.01)
        began = time.monotonic()
        for thread in threads:
            thread.join(10)
    assert len(ended) == 3
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_long_wait_within_moments(tmp_path: Path, number: int, status: int) -> None:
    with limited(requests=3, seconds=300) as (server, _):
        process = subprocess.Popen(
            [sys.executable, "-m", "extract", "--from", "2026-10"],
            env={
                **os.environ,
                "MIOSA_API_KEY": DEFAULT_API_KEY,
                "MIOSA_BASE_URL": server.base_url,
                "WAREHOUSE_PATH": str(tmp_path / "w.duckdb"),
                "PYTHONPATH": str(ROOT),
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        assert "the API limits requests" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert time.monotonic() - began < 20, "a wait of five minutes goes on"
    assert process.returncode == status
    assert stderr.splitlines() == ["extract: stopped; what was landed before stays, the rest was rolled back"]


def test_a_run_against_a_slow_limiter_succeeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(f"s{n}", f"2026-10-{n % 28 + 1:02d}", user=f"u{n}") for n in range(20)]
    limit = Limit(requests=10, seconds=1.0, headers="policy")
    with serve(Tenant.from_rows(rows), Options(rate_limit=limit)) as server:
        land(server, tmp_path / "w.duckdb", max_tries=1, max_seconds=4)
    assert query(tmp_path / "w.duckdb", "select count(*) from raw.usage_sessions") == [(20,)]
    planned, told = capsys.readouterr().out.splitlines()
    assert "not known yet" in planned
    assert "the API allows 600 requests per minute" in told
