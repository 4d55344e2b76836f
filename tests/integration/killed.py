"""Run the command line and kill it, by SIGKILL, before or after one of its effects.

    python killed.py "lake write" before 1 ingest PATH --source native

The third word is which time it is done. Nothing in the product knows of this: the functions that
have an effect are replaced here, in a process of its own.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

POINTS = {
    "inspect": ("ingestion.batch", "inspect"),
    "adapt": ("ingestion.batch", "validated"),
    "lake file": ("ingestion.lake.write", "_Sink._flush"),
    "lake write": ("ingestion.lake", "write"),
    "stage copy": ("ingestion.stage", "copy_batches"),
    "stage": ("ingestion.stage", "copy_keys"),
    "move": ("ingestion.load", "move"),
    "fill": ("ingestion.load", "fill"),
    "copy": ("ingestion.fill", "copy_into"),
    "quarantine": ("ingestion.load", "insert_quarantined"),
    "ledger": ("ingestion.load", "_write_ledger"),
    "ledger of files": ("ingestion.load", "_write_files"),
    "commit": ("ingestion.commits", "commit_load"),
    "lake commit": ("ingestion.lake.log", "_commit_table"),
    "aggregates": ("ingestion.aggregates", "refresh"),
    "aggregates beside": ("ingestion.aggregates", "refresh_beside"),
    "aggregates fill": ("ingestion.aggregates", "_fill"),
}
"""By name: the function whose beginning and end are before and after the effect.

"commit" before is right after PostgreSQL's commit; "move" after is right before it.
"""


def arm(point: str, when: str, turn: int) -> None:
    """Replace the function of a kill point, so that its call number `turn` is the process's end."""
    module, name = POINTS[point]
    owner: Any = importlib.import_module(module)
    *path, attribute = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    true, calls = getattr(owner, attribute), iter(range(1, 1_000_000))

    def dies(*arguments: Any, **options: Any) -> Any:
        is_turn = next(calls) == turn
        if is_turn and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = true(*arguments, **options)
        if is_turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, dies)


if __name__ == "__main__":
    point, when, turn, *words = sys.argv[1:]
    arm(point, when, int(turn))
    sys.argv = ["clickmart", *words]
    from ingestion.cli import main

    main()
