"""`python -m benchmarks.quotas`: how long the quotas of many users take to read, at some latency.

A warehouse that knows the users is asked about twice by whole `python -m extract` processes: once when no quota is
known yet, and once more when nothing has changed. The server is a process of its own, and costs as little as it can:
it answers from a text, after `--latency-ms`. Fails where a reading takes longer than promised, or landed less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import duckdb

from benchmarks.extract.measure import ROOT, BenchmarkError, Cost, environment, own_peak_mib, run

_PROMISED_USERS, _PROMISED_LATENCY_MS, _PROMISED_SECONDS = 100_000, 10.0, 180.0
_MONTH = "2025-06"
_SERVE = "--serve"

# As the extractor would have landed a list of sandboxes, one a user.
_PLANT = """
insert into raw.loads
select 1 + max(load_id), any_value(run_id), 'sandboxes', null, null, $2, $2, 1, $1, $1, $1, $1, 'benchmark', 'complete',
    null
from raw.loads;
insert into raw.sandboxes
select
    (select max(load_id) from raw.loads), number, 'box-' || number, true, hash(number)::hugeint - 9223372036854775808,
    printf('user-%06d', number), printf('{"id":"box-%d","external_user_id":"user-%06d"}', number, number), null
from range(1, $1 + 1) as numbers (number)
"""


class _Answers(asyncio.Protocol):
    """One connection. Requests come one after the other: the extractor does not send ahead."""

    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP gives
        self._transport, self._received = transport, b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Answer once a request's head is there; it has no body."""
        self._received += data
        if b"\r\n\r\n" in self._received:
            target = self._received.split(b" ", 2)[1].decode()
            self._received = b""
            self._loop.call_later(self.latency, self._transport.write, _answer(target))


def _answer(target: str) -> bytes:
    """The answer to a request, head and all."""
    path = target.partition("?")[0]
    if "/quotas/external/" in path:
        user = unquote(path.rpartition("/")[2])
        body = (
            f'{{"data":{{"external_user_id":"{user}","limits":{{"max_sandboxes":{len(user)},"max_concurrent":5,'
            '"max_storage_gb":null,"max_credit_cents":100000},"usage":{"total_sandboxes":1,"concurrent":0}}}'
        )
    elif path.endswith(("/usage/sessions", "/sandboxes")):
        body = '{"data":[],"page":{"page":1,"page_size":100,"total":0}}'
    elif path.endswith("/usage/summary"):
        body = '{"compute_hours":0,"total_credits":0}'
    else:
        body = '{"results":[]}'
    return (f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode()


async def _serve(latency_ms: float) -> None:
    """Serve on a free port of loopback, say where, and end with the standard input."""
    _Answers.latency = latency_ms / 1000
    server = await asyncio.get_running_loop().create_server(_Answers, "127.0.0.1", 0, backlog=128)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"http://{host}:{port}/api/v1\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _serving(latency_ms: float) -> Iterator[str]:
    """The base URL of a server in a process of its own, while the context lasts."""
    command = [sys.executable, "-m", "benchmarks.quotas", _SERVE, "--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def _extract(base_url: str, warehouse: Path) -> Cost:
    """A whole run of the extractor."""
    command = [sys.executable, "-m", "extract", "--from", _MONTH, "--window-days", "31"]
    command += ["--look-ahead-days", "0", "--no-account"]
    asked = {"MIOSA_API_KEY": "msk_benchmark", "MIOSA_BASE_URL": base_url, "WAREHOUSE_PATH": str(warehouse)}
    return run(command, environment(**asked))[0]


def measure(users: int, latency_ms: float) -> list[Cost]:
    """Read the quotas of so many users twice. Raises `BenchmarkError` where one is missing afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _serving(latency_ms) as base_url:
        warehouse = Path(folder) / "usage.duckdb"
        _extract(base_url, warehouse)
        with closing(duckdb.connect(str(warehouse))) as connection:
            for statement in _PLANT.split(";"):
                connection.execute(statement, [users, datetime(2025, 7, 1)] if "$2" in statement else [users])
        costs = [_extract(base_url, warehouse) for _ in range(2)]
        with closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
            found = connection.execute("select count(*), count(distinct row_key) from raw.quotas").fetchone()
            asked = connection.execute("select sum(pages) from raw.loads where resource = 'quotas'").fetchone()
    if found != (users, users) or asked != (2 * users,):
        raise BenchmarkError(f"of {users:,} users, raw holds (quotas, users) {found}, and asked (twice) {asked}")
    return costs


def main() -> None:
    """Run the benchmark. Exit status 1: the promise is not kept, or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quotas", description=__doc__)
    parser.add_argument("--users", type=int, default=_PROMISED_USERS, help="users to ask about (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=_PROMISED_LATENCY_MS, help="(default: %(default)s)")
    parser.add_argument(_SERVE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.latency_ms))
        return
    try:
        costs = measure(given.users, given.latency_ms)
    except BenchmarkError as error:
        sys.exit(f"bench: {error}")
    print(f"{given.users:,} users, {given.latency_ms:g} ms latency, {os.cpu_count()} cores:")
    for name, cost in zip(("no quota known", "nothing changed"), costs, strict=True):
        print(
            f"  {name:<16}{cost.wall_seconds:7.1f} s {given.users / cost.wall_seconds:8,.0f} requests/s "
            f"{cost.cpu_seconds:7.1f} s CPU {max(cost.peak_mib, own_peak_mib()):6.0f} MiB"
        )
    allowed = _PROMISED_SECONDS * given.users / _PROMISED_USERS
    if given.latency_ms <= _PROMISED_LATENCY_MS and max(cost.wall_seconds for cost in costs) > max(allowed, 5):
        sys.exit(f"bench: slower than the {_PROMISED_SECONDS:g} s promised for {_PROMISED_USERS:,} users")


if __name__ == "__main__":
    main()
