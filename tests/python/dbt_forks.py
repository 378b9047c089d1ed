"""A process that has dbt imported, and gives each command a process of its own by forking.

Why: importing dbt takes longer than building this project from a few rows. A fork is a process like any other (its own
environment, connection, log and exit status); it only skips the import. `ForkingDbt` is the test's side, this file
run as a program the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn


class ForkingDbt:
    """Runs dbt commands, each in a fork of one process that has imported dbt."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        """Start the process that forks; it imports dbt while the test goes on."""
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            cwd=root,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], manifest: Path | None, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a parsed project, or let it parse (`manifest` None), as `subprocess.run` would.

        `environment` is added to that of the process that forks. Raises `TimeoutError` after `seconds`.
        """
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        with TemporaryDirectory() as folder:
            said = [Path(folder) / name for name in ("stdout", "stderr")]
            wanted = {
                "arguments": list(arguments),
                "environment": dict(environment),
                "manifest": manifest and str(manifest),
                "seconds": seconds,
                "said": [str(path) for path in said],
            }
            print(json.dumps(wanted), file=self._program.stdin, flush=True)
            answer = self._program.stdout.readline()
            if not answer:
                raise RuntimeError("the process that runs dbt has ended")
            status = json.loads(answer)
            if status is None:
                raise TimeoutError(f"dbt {' '.join(arguments)} took more than {seconds} s")
            texts = [path.read_text(encoding="utf-8") for path in said]
        return subprocess.CompletedProcess(["dbt", *arguments], status, *texts)

    def stop(self) -> None:
        """End the process that forks."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()


def _fork(wanted: dict[str, Any], manifests: dict[str, Any]) -> int | None:
    """Run one command in a fork. Returns its exit status, or None where it took too long and was killed."""
    child = os.fork()
    if child == 0:
        _be_dbt(wanted, manifests)
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
    """Become the command: its environment, its output, its exit status; ends as an interpreter ends."""
    os.environ.update(wanted["environment"])
    time.tzset()
    for descriptor, path in zip((1, 2), wanted["said"], strict=True):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from dbt.cli.main import dbtRunner

    done = dbtRunner(manifest=manifests.get(wanted["manifest"])).invoke(wanted["arguments"])
    sys.exit(0 if done.success else 2 if done.exception else 1)


def _word_what_is_heard() -> None:
    """Let dbt word its lines when a log takes them, not when it has something to say: a sixth of a small build.

    Lines below the level of information are heard by nobody here: no command asks for them.
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
        if (level or event.level_tag()) not in unheard:
            fire(manager, event, level, *others, **named)

    events.__init__, events.__getattr__ = keep_words, of_worded
    managers.fire_event = fire_if_heard


def main() -> None:
    """Fork for each line of standard input, one after the other, until it ends."""
    import dbt.adapters.duckdb
    import duckdb
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    del dbt, duckdb
    _word_what_is_heard()
    manifests: dict[str, Any] = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        path = wanted["manifest"]
        if path is not None and path not in manifests:
            manifests[path] = Manifest.from_msgpack(Path(path).read_bytes(), decoder=extended_mashumuro_decoder)
            manifests[path].build_flat_graph()
        sys.stdout.write(json.dumps(_fork(wanted, manifests)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
