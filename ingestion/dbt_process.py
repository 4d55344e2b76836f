"""A dbt that stays: imported and parsed once, then run for one command after the other.

`python -m ingestion.dbt_process` reads commands from its standard input, each a JSON list of words
in a line of its own. Of each it prints what dbt prints, then a line of END and the exit code. With
arguments it is dbt itself, run for these alone.
"""

from __future__ import annotations

import atexit
import gc
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ingestion.settings import Settings, adopt_embedded_server

END = "\x1e"


class DbtProcess:
    """dbt in a process of its own, which gets ready while others work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.exit_code: int | None = None  # of the last command that came to its end
        self._unread = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ingestion.dbt_process"],
            cwd=settings.project_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def begin(self, words: Sequence[str]) -> None:
        """Start a command, and do not wait for it: the next one does."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it died: what there is to read says so
            self._process.stdin.write(json.dumps(list(words)) + "\n")
            self._process.stdin.flush()
        self._unread += 1

    def lines(self, words: Sequence[str]) -> Iterator[str]:
        """Run a command; yield the lines of what dbt prints, also of commands begun before."""
        self.begin(words)
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            if line.startswith(END):
                self._unread -= 1
                self.exit_code = int(line[len(END) :])
                if not self._unread or self.exit_code:
                    return
            else:
                yield line
        self.exit_code = self._process.wait() or 1  # it died under way

    def end(self, *, at_once: bool) -> None:
        """End the process: at once, or when what was begun is done."""
        if at_once:
            self._process.terminate()
        self._process.communicate()


@contextmanager
def ready(settings: Settings) -> Iterator[DbtProcess]:
    """A dbt for the block; what it has read of the project stays as it is."""
    process = DbtProcess(settings)
    try:
        yield process
    except BaseException:
        process.end(at_once=True)
        raise
    process.end(at_once=False)


def main() -> None:
    """Run the command of the arguments, or those of the standard input, up to its end."""
    # dbt makes objects by the hundred thousand and keeps most of them: to look through them for
    # garbage, again and again, takes an eighth of its time, and gives back little memory.
    gc.disable()
    atexit.register(gc.freeze)  # nor at the end, which would take a second more
    if sys.argv[1:]:
        from dbt.cli.main import cli

        cli(prog_name="dbt")
    else:
        _run_each(sys.stdin)


def _run_each(commands: Iterable[str]) -> None:
    from dbt.cli.main import dbtRunner

    manifest: Any = None
    for line in commands:
        words = json.loads(line)
        adopt_embedded_server()  # it may have been started since this process was
        ran = dbtRunner(manifest).invoke(words)
        if words[0] == "parse":
            manifest = ran.result
        if ran.exception is not None:
            sys.stdout.write(f"{ran.exception}\n")
        sys.stdout.write(f"{END}{0 if ran.success else 1}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
