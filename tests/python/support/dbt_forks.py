"""A process that has dbt imported, and gives each command a process of its own by forking.

Why: importing dbt takes longer than building this project from a few rows. A fork is a process like any other (its own
environment, connection, log and exit status); it only skips the import. `ForkingDbt` is the test's side, this file
run as a program the other.
"""

from __future__ import annotations

import atexit
import gc
import json
import marshal
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import IO, Any, NoReturn


class Started:
    """A dbt command that runs in a fork."""

    def __init__(self, program: IO[bytes], arguments: Sequence[str], folder: TemporaryDirectory[str]) -> None:
        """Take down its process."""
        self.arguments = arguments
        self._program, self._folder = program, folder
        self.pid: int = self._answer()

    @property
    def stdout(self) -> Path:
        """What it has said so far; gone once it was waited for."""
        return Path(self._folder.name) / "stdout"

    def runs(self) -> bool:
        """Whether it has not ended."""
        return not select.select([self._program], [], [], 0)[0]

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end. Raises `TimeoutError` where it took longer than it might, and was killed."""
        with self._folder:
            status = self._answer()
            if status is None:
                raise TimeoutError(f"dbt {' '.join(self.arguments)} took too long")
            texts = [(Path(self._folder.name) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(["dbt", *self.arguments], status, *texts)

    def _answer(self) -> Any:
        answer = self._program.readline()
        if not answer:
            raise RuntimeError("the process that runs dbt has ended")
        return json.loads(answer)


class ForkingDbt:
    """Runs dbt commands, one at a time, each in a fork of one process that has imported dbt."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        """Start the process that forks; it imports dbt while the test goes on."""
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            cwd=root,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], parsed: str | None, seconds: float
    ) -> Started:
        """Start a command on a project that `parse` parsed, or let it parse (None), for at most so long.

        `environment` is added to that of the process that forks. It must be waited for before the next one starts.
        """
        assert self._program.stdout is not None
        folder = TemporaryDirectory()
        wanted = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "parsed": parsed,
            "seconds": seconds,
            "said": [f"{folder.name}/stdout", f"{folder.name}/stderr"],
            "learned": f"{folder.name}/learned",
        }
        self._send(wanted)
        return Started(self._program.stdout, arguments, folder)

    def parse(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Parse a project in the process that forks, for commands to take by this name.

        Raises `AssertionError` where dbt fails.
        """
        self._send({"parse": name, "arguments": list(arguments), "environment": dict(environment)})
        assert self._program.stdout is not None
        said = json.loads(self._program.stdout.readline())
        assert said is None, f"dbt {' '.join(arguments)}: {said}"

    def _send(self, wanted: Mapping[str, Any]) -> None:
        """Ask for something: one line of JSON."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(wanted).encode() + b"\n")

    def stop(self) -> None:
        """End the process that forks."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()


def _answer(answer: int | str | None) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _fork(wanted: dict[str, Any], manifests: dict[str, Any]) -> int | None:
    """Run one command in a fork. Returns its exit status, or None where it took too long and was killed."""
    for path in wanted["said"]:
        Path(path).touch()
    child = os.fork()
    if child == 0:
        _be_dbt(wanted, manifests)
    _answer(child)
    until = time.monotonic() + wanted["seconds"]
    pause = 0.002
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def _be_dbt(wanted: dict[str, Any], manifests: dict[str, Any]) -> NoReturn:
    """Become the command: environment, output, exit status. Ends as an interpreter does, but clears nothing away."""
    os.environ.update(wanted["environment"])
    time.tzset()
    for descriptor, path in zip((1, 2), wanted["said"], strict=True):
        opened = os.open(path, os.O_WRONLY)
        os.dup2(opened, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from dbt.cli.main import dbtRunner

    global _hears_all
    _hears_all = "debug" in wanted["arguments"]
    known = set(_compiled)
    done = dbtRunner(manifest=manifests.get(wanted["parsed"])).invoke(wanted["arguments"])
    if learned := {key: code for key, code in _compiled.items() if key not in known}:
        Path(wanted["learned"]).write_bytes(marshal.dumps(learned))
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0 if done.success else 2 if done.exception else 1)


_hears_all = False
"""Whether the command of this process asks for all of dbt's lines."""


def _word_what_is_heard() -> None:
    """Let dbt word its lines when a log takes them, not when it has something to say: a sixth of a small build.

    Lines below the level of information are heard by nobody, but where a command asks for them.
    """
    from dbt_common.events import base_types, event_manager

    events: Any = base_types.BaseEvent
    managers: Any = event_manager.EventManager
    word, fire = events.__init__, managers.fire_event
    unheard = (base_types.EventLevel.DEBUG, base_types.EventLevel.TEST)

    def keep_words(event: Any, *words: Any, **named: Any) -> None:
        vars(event)["words"] = words, named

    def of_worded(event: Any, name: str) -> Any:
        if "pb_msg" not in vars(event):
            words, named = vars(event)["words"]
            word(event, *words, **named)
        worded = vars(event)["pb_msg"]
        return worded if name == "pb_msg" else getattr(worded, name)

    def fire_if_heard(manager: Any, event: Any, level: Any = None, *others: Any, **named: Any) -> None:
        if _hears_all or (level or event.level_tag()) not in unheard:
            fire(manager, event, level, *others, **named)

    events.__init__, events.__getattr__ = keep_words, of_worded
    managers.fire_event = fire_if_heard


_compiled: dict[tuple[str, str], CodeType] = {}
"""What Jinja made of a template, by the kind of its environment and its text."""


def _compile_once() -> None:
    """Let Jinja compile a template once a test process, not once a command: another sixth of a small build."""
    from jinja2 import Environment

    environments: Any = Environment
    compile_anew = environments.compile

    def compiled(environment: Any, source: Any, *others: Any, **named: Any) -> Any:
        if not isinstance(source, str) or others or named:
            return compile_anew(environment, source, *others, **named)
        key = type(environment).__name__, source
        if key not in _compiled:
            _compiled[key] = compile_anew(environment, source)
        return _compiled[key]

    environments.compile = compiled


def _parse(wanted: dict[str, Any], manifests: dict[str, Any]) -> str | None:
    """Parse a project in this process, so that forks find warm what dbt makes once a process. Returns why it failed."""
    from dbt.cli.main import dbtRunner

    before = dict(os.environ)
    os.environ.update(wanted["environment"])
    try:
        with redirect_stdout(sys.stderr):  # the other one is for answers
            done = dbtRunner().invoke(wanted["arguments"])
    finally:
        os.environ.clear()
        os.environ.update(before)
    if not done.success:
        return str(done.exception)
    manifests[wanted["parse"]] = done.result
    # What is here stays: to look for garbage in it, in each fork anew, would be in vain, and copy its memory.
    gc.collect()
    gc.freeze()
    return None


def main() -> None:
    """Parse or fork for each line of standard input, one after the other, until it ends."""
    import dbt.adapters.duckdb
    import dbt.cli.main
    import dbt.task.build
    import duckdb

    del dbt, duckdb
    _word_what_is_heard()
    _compile_once()
    manifests: dict[str, Any] = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        if "parse" in wanted:
            _answer(_parse(wanted, manifests))
            continue
        status = _fork(wanted, manifests)
        with suppress(FileNotFoundError):
            _compiled.update(marshal.loads(Path(wanted["learned"]).read_bytes()))  # noqa: S302 (our fork wrote it)
        _answer(status)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
    gc.unfreeze()  # or the interpreter complains of what it can't clear away
