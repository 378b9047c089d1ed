"""The extractor as a process on a machine that fails it: full and read-only disks, other processes, clocks, TLS.

What a test needs of the machine and does not get (mounting, /proc) skips it with a reason; each fault has a test that
runs anywhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tenants
from core.database.opening import create_database
from core.errors import WarehouseError
from pipeline import Run, ask, build, mart_differences, read_loads, read_mart
from simulator.app import DEFAULT_API_KEY
from simulator.server import Server
from tenants import Span
from test_extract_cli import KEY, MONTH, environment, fails
from test_extract_support import ROOT, Options, Tenant, command, current, query, row, serve

PLAIN = [row(f"s{number}", f"2026-10-{number % 28 + 1:02d}") for number in range(200)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(Tenant.from_rows(PLAIN[:5]), Options(api_key=KEY)) as running:
        yield running


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def start(address: Server | str, warehouse: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command as a process to look at while it runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "extract", "--from", "2026-10", *arguments],
        env={**os.environ, **environment(address, warehouse), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        **options,
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    _, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, "", stderr)


def wrapped(
    code: str, server: Server, warehouse: Path, *arguments: str, key: str = KEY
) -> subprocess.CompletedProcess[str]:
    """The command after some code of the test's, in one process."""
    return finished(
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **environment(server, warehouse, key), "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
    )


# Disks


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A file system in memory at `folder`; gives a function that mounts it anew with other options."""

    def mount(options: str) -> bool:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        return done.returncode == 0

    if not shutil.which("mount") or not mount(options):
        pytest.skip("this machine lets the test mount nothing")
    try:
        yield lambda options: None if mount(f"remount,{options}") else pytest.fail("the file system stays as it was")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("how", ["full disk", "file size limit"])
def test_a_full_disk_is_one_line_and_the_file_goes_on(tmp_path: Path, how: str) -> None:
    rng = random.Random(1)
    texts = [f'"{rng.randbytes(400).hex()}"' for _ in range(3_000)]
    rows = [row(f"s{n}", f"2026-10-{n % 28 + 1:02d}", note=text) for n, text in enumerate(texts)]
    warehouse = tmp_path / "w.duckdb"
    with ExitStack() as stack:
        running = stack.enter_context(serve(Tenant.from_rows(rows), Options(api_key=KEY)))
        if how == "full disk":
            remount = stack.enter_context(mounted(tmp_path, "size=1m"))
            done = finished(start(running, warehouse, *MONTH[2:]))
        else:

            def limit() -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

            # Python ignores SIGXFSZ, so a write beyond the limit fails as it would on a full disk.
            done = finished(start(running, warehouse, *MONTH[2:], preexec_fn=limit))
        fails(done, 1, str(warehouse), "is full")
        if how == "full disk":
            remount("size=64m")
        assert query(warehouse, "select count(*) from raw.usage_sessions") == [(0,)]
        assert query(warehouse, "select count(*) from raw.loads where rows_added > 0") == [(0,)]
        assert command(*MONTH, environment=environment(running, warehouse)).returncode == 0
        assert len(current(warehouse)) == len(rows)


# Root may write anywhere, unless it gives that right up (PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) before it starts anew.
_AS_IS = """
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "extract", *sys.argv[1:]])
"""


@pytest.mark.parametrize("how", ["mode of the folder", "mode of the file", "file system"])
def test_what_is_read_only_is_noticed_before_the_first_request(server: Server, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    before = len(server.requests)
    with ExitStack() as stack:
        if how == "file system":
            stack.enter_context(mounted(folder, "ro,size=1m"))
        elif how == "mode of the file":
            duckdb.connect(str(folder / "w.duckdb")).close()
            (folder / "w.duckdb").chmod(0o400)
        else:
            folder.chmod(0o500)
        done = wrapped(_AS_IS, server, folder / "w.duckdb", *MONTH)
        if done.returncode == 77:
            pytest.skip("this machine does not let root give up its right to write anywhere")
        fails(done, 1, "cannot write at", str(folder), "WAREHOUSE_PATH")
    assert len(server.requests) == before


def test_nobody_else_may_read_what_a_run_writes_whatever_the_umask(warehouse: Path) -> None:
    """Looked at while it runs: the file, its write-ahead log, and whatever else stands beside them."""
    warehouse.parent.chmod(0o755)
    modes: dict[str, set[int]] = {}
    masks: set[str] = set()
    with serve(Tenant.from_rows(PLAIN), Options(api_key=KEY, latency_ms=30)) as running:
        process = start(running, warehouse, "--threads", "2", "--window-days", "7", umask=0)
        while process.poll() is None:
            for path in warehouse.parent.iterdir():
                try:
                    modes.setdefault(path.name, set()).add(stat.S_IMODE(path.stat().st_mode))
                except FileNotFoundError:
                    continue
            status = Path(f"/proc/{process.pid}/status")
            if len(running.requests) and status.exists():
                masks |= {line for line in status.read_text().splitlines() if line.startswith("Umask:")}
            time.sleep(0.005)
        assert finished(process).returncode == 0
    assert modes.keys() >= {"w.duckdb", "w.duckdb.wal"}
    assert {mode & 0o077 for seen in modes.values() for mode in seen} == {0}
    # Of a temporary folder too, which DuckDB makes only when it runs out of memory.
    assert {line.split()[1] for line in masks} <= {"0077"}


def test_files_that_others_could_read_are_tightened(server: Server, warehouse: Path) -> None:
    with serve(Tenant.from_rows(PLAIN), Options(api_key=KEY, latency_ms=60)) as running:
        process = start(running, warehouse, "--threads", "2")
        log = warehouse.with_name("w.duckdb.wal")
        while not log.exists():
            time.sleep(0.01)
        process.kill()
        process.communicate()
    for path in (warehouse, log):
        path.chmod(0o644)
    assert command(*MONTH, environment=environment(server, warehouse)).returncode == 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in warehouse.parent.iterdir()} == {0o600}


# Other processes


def test_a_reader_that_holds_the_file_is_waited_for_and_named(server: Server, warehouse: Path) -> None:
    assert command(*MONTH, environment=environment(server, warehouse)).returncode == 0
    read = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", read, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        reader.stdout.readline()
        before, began = len(server.requests), time.monotonic()
        done = command(*MONTH, "--lock-seconds", "1", environment=environment(server, warehouse))
        fails(done, 1, f"process {reader.pid}", "close it there")
        assert 1 < time.monotonic() - began < 10
        assert len(server.requests) == before
        # One that goes away in time is no failure.
        waiting = start(server, warehouse)
        time.sleep(1)
        reader.stdin.close()
        assert finished(waiting).returncode == 0


def test_two_extractors_at_once(warehouse: Path) -> None:
    """One of them waits, and then goes on from what the other landed, or says who is in its way."""
    with serve(Tenant.from_rows(PLAIN), Options(api_key=KEY, latency_ms=40)) as running:
        first = start(running, warehouse, "--threads", "2")
        while len(running.requests) < 3:
            time.sleep(0.02)
        second = start(running, warehouse, "--threads", "2", "--window-days", "31")
        impatient = start(running, warehouse, "--lock-seconds", "0.2")
        fails(finished(impatient), 1, f"process {first.pid}")
        assert (finished(first).returncode, finished(second).returncode) == (0, 0)
    assert query(warehouse, "select count(*), count(distinct row_key) from raw.usage_sessions") == [(200, 200)]
    assert query(warehouse, "select count(distinct run_id) from raw.loads") == [(2,)]


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """A folder that another process has locked (a file of its own is as good as a process of its own)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_folder_that_stays_locked_is_waited_for_as_long_as_a_file(warehouse: Path) -> None:
    began = time.monotonic()
    with locked(warehouse.parent), pytest.raises(WarehouseError, match=r"locked its folder.*end it, then run again"):
        create_database(warehouse, lock_seconds=0.6)
    assert 0.6 <= time.monotonic() - began < 5
    assert not list(warehouse.parent.iterdir())


def test_a_folder_is_waited_for_and_only_to_make_the_file_in_it(warehouse: Path) -> None:
    with locked(warehouse.parent) as descriptor:
        timer = threading.Timer(0.6, fcntl.flock, (descriptor, fcntl.LOCK_UN))
        timer.start()
        create_database(warehouse, lock_seconds=20)
        timer.join()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        create_database(warehouse, lock_seconds=0)
    duckdb.connect(str(warehouse)).close()


# Streams that take nothing


def redirected(module: str, redirection: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command with its streams as a shell redirects them."""
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", module, *arguments],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


REDIRECTIONS = (">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1")


@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_what_is_landed_is_landed_whoever_is_told(server: Server, warehouse: Path, redirection: str) -> None:
    done = redirected("extract", redirection, *MONTH, "--verbose", **environment(server, warehouse))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    # No line went where a file was.
    assert set(current(warehouse)) == {f"s{number}" for number in range(5)}
    assert [path.name for path in warehouse.parent.iterdir()] == ["w.duckdb"]


@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_a_failure_keeps_its_status_whoever_is_told(server: Server, warehouse: Path, redirection: str) -> None:
    for module, status, arguments, key in (
        ("extract", 2, ("--from", "2026-13"), KEY),
        ("extract", 1, MONTH, "msk_another"),
        ("publish", 2, ("quotas", "nonsense"), KEY),
        ("publish", 1, ("quotas", "diff"), KEY),
    ):
        nowhere = warehouse.with_name(f"{module}.duckdb")
        done = redirected(module, redirection, *arguments, **environment(server, nowhere, key))
        assert done.returncode == status, (module, arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == (0 if "2>" in redirection else 1)


@pytest.mark.parametrize("module", ["extract", "publish"])
@pytest.mark.parametrize(("redirection", "status"), [("", 0), (">&-", 0), (">/dev/full", 1)])
def test_a_help_that_cannot_be_written_is_no_traceback(module: str, redirection: str, status: int) -> None:
    done = redirected(module, redirection, "--help")
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert ("No space left" in done.stderr) == (status == 1)


@pytest.mark.parametrize("stream", ["stdout", "stderr", "both"])
def test_a_reader_that_has_left_changes_nothing(server: Server, warehouse: Path, stream: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    for arguments, status in ((MONTH, 0), (("--help",), 0), (("--from", "2026-13"), 2)):
        done = subprocess.run(
            [sys.executable, "-m", "extract", *arguments],
            env={**os.environ, **environment(server, warehouse), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE if stream == "stderr" else theirs,
            stderr=subprocess.PIPE if stream == "stdout" else theirs,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        assert "Traceback" not in (done.stderr or "")
    os.close(theirs)
    assert len(current(warehouse)) == 5


# Signals and failures that nobody expects


@pytest.mark.parametrize("module", ["extract", "publish"])
@pytest.mark.parametrize("imported", ["click", "tenacity", "duckdb", "core.api.client"])
def test_ctrl_c_while_python_still_imports_is_one_line(module: str, imported: str, tmp_path: Path) -> None:
    with interrupted(module, imported, tmp_path, signal.SIGINT) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.splitlines()) == (130, [f"{module}: stopped before anything was asked"])


def test_sigterm_while_python_still_imports_is_silent(tmp_path: Path) -> None:
    with interrupted("extract", "duckdb", tmp_path, signal.SIGTERM) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (-signal.SIGTERM, "")  # 143 in a shell


@contextmanager
def interrupted(module: str, imported: str, folder: Path, number: int) -> Iterator[subprocess.Popen[str]]:
    """A command that gets a signal while it imports a module: an import hook says so, and waits for the signal."""
    reached = folder / "reached"
    (folder / "sitecustomize.py").write_text(
        "import pathlib, signal, sys, time\n"
        # A background job ignores Ctrl-C; a command at a terminal, which this stands for, does not.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Hook:\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {imported!r}:\n"
        "            sys.meta_path.remove(Hook)\n"
        f"            pathlib.Path({str(reached)!r}).touch()\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Hook)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--help"],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        until = time.monotonic() + 60
        while not reached.exists():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        yield process


_BREAKS = """
import os
from extract import run
def fail(context):
    raise RuntimeError("broken by " + os.environ["MIOSA_API_KEY"])
run.land_everything = fail
from extract.cli import main
main()
"""


def test_a_defect_of_our_own_is_one_line_without_the_key(server: Server, warehouse: Path) -> None:
    done = wrapped(_BREAKS, server, warehouse, *MONTH, "--verbose")
    fails(done, 1, "unexpected RuntimeError: broken by ***", "report")


# The clock


_SHIFTED = """
import sys
from datetime import timedelta
from core import clock
shift, truth = timedelta(days=int(sys.argv.pop(1))), clock.utc_now
clock.utc_now = lambda: truth() + shift
from extract.cli import main
main()
"""


def test_a_clock_a_day_off_changes_nothing_that_is_billed(tmp_path: Path) -> None:
    """Rows, versions and voids, and the credits made of them: of sessions that end, or say how long they have run."""
    span = Span("2026-09", "2026-10")
    months = ("--from", span.first, "--to", span.last, "--window-days", "15", "--threads", "1")
    rows = tenants.seeded_rows(3, 150, span, clock_ends=False)
    named = [name for text in rows.sessions if str(name := json.loads(text).get("id")).startswith("s")]
    landed: list[list[tuple[Any, ...]]] = []
    for days in (0, -1, 1):
        run = Run(tmp_path / f"{days}" / "usage.duckdb")
        run.warehouse.parent.mkdir()
        with serve(rows.tenant()) as server:
            # Twice: the second run voids two sessions, and sees one corrected.
            for number in range(2):
                done = wrapped(_SHIFTED, server, run.warehouse, str(days), *months, key=DEFAULT_API_KEY)
                assert done.returncode == 0, done.stderr
                run.answers.append(ask(server.base_url, server.tenant, (span.first, span.last)))
                run.asked_through.append(max(load.load_id for load in read_loads(run.warehouse)))
                if not number:
                    server.tenant.remove_session(named[0])
                    server.tenant.remove_session(named[1])
                    server.tenant.correct_cost(named[2], "7.5")
        landed.append(
            query(
                run.warehouse,
                "select sessions.* exclude (ended_at_utc), loads.resource, window_start_at_utc, window_end_at_utc, "
                "pages, rows_listed, distinct_ids, api_total, rows_added "
                "from raw.usage_sessions as sessions join raw.loads as loads using (load_id) "
                "order by load_id, row_number",
            )
        )
        read = query(run.warehouse, "select max(abs(epoch(ended_at_utc::timestamptz) - epoch(now()))) from raw.loads")
        assert (read[0][0] > 80_000) == (days != 0)
    assert landed[1] == landed[0]
    assert landed[2] == landed[0]
    assert [row[-8] for row in landed[0]].count("session_voids") == 2
    models = ("fct_user_period_credits", "fct_session_period_credits", "fct_user_day_credits")
    selected = ("--select", *(f"+{name}" for name in models))
    build(run.warehouse, "--exclude-resource-type", "unit_test", "test", *selected)
    for name in models:
        assert not mart_differences(run.expected.by_name[name], read_mart(run.warehouse, name))


# Connections that never come about


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has reason to trust."""
    if not shutil.which("openssl"):
        pytest.skip("this machine has no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-keyout", str(path), "-out", str(path.with_suffix(".crt"))),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[int]]]:
    """A server that does `answer` with each connection, and counts them."""
    listener = socket.create_server(("127.0.0.1", 0))
    came: list[int] = []

    def serve_all() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            came.append(1)
            with connection:
                try:
                    answer(connection)
                except OSError:
                    continue

    threading.Thread(target=serve_all, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", came
    finally:
        listener.close()


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(warehouse: Path, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received: list[bytes] = []

    def shake_hands(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(1000))

    with listening(shake_hands) as (host, came):
        began = time.monotonic()
        done = command(*MONTH, environment=environment(f"https://{host}", warehouse))
    fails(done, 1, host, "does not prove who it is", "MIOSA_BASE_URL")
    assert time.monotonic() - began < 10
    assert (len(came), b"".join(received)) == (1, b"")


def test_a_server_without_tls_is_given_up_soon(warehouse: Path) -> None:
    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(speak_plainly) as (host, came):
        done = command(*MONTH, environment=environment(f"https://{host}", warehouse))
    fails(done, 1, host, "no TLS", "MIOSA_BASE_URL")
    assert len(came) == 5


def test_a_connection_that_never_comes_about_is_given_up_soon(warehouse: Path) -> None:
    """A full queue of connections: on Linux a further one is neither taken nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            if waiting.connect_ex(address):
                break
        else:
            pytest.skip("this machine takes any number of connections")
        began = time.monotonic()
        url = f"http://{address[0]}:{address[1]}"
        done = command(*MONTH, "--request-seconds", "0.5", environment=environment(url, warehouse))
    fails(done, 1, url.partition("//")[2], "no connection in 0.5 s", "5 tries", "MIOSA_BASE_URL")
    assert time.monotonic() - began < 12


def test_a_refused_connection_says_so(warehouse: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = command(*MONTH, environment=environment(url, warehouse, DEFAULT_API_KEY))
        fails(done, 1, "connection refused", "5 tries", "MIOSA_BASE_URL")
        # A number that is given holds for first contact too.
        told = environment(url, warehouse, DEFAULT_API_KEY) | {"EXTRACT_MAX_TRIES": "6"}
        fails(command(*MONTH, environment=told), 1, "connection refused", "6 tries", "MIOSA_BASE_URL")
