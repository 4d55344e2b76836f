"""What the tests of adapters share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingestion.adapters import adapter_for
from ingestion.batch import bot_agents
from ingestion.files import inspect
from ingestion.readers import read
from ingestion.validate import validate


@pytest.fixture
def judge(spark: Any, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """A function that writes rows or text to a file and returns them validated, in order."""

    def run(content: Any, source: str = "native", suffix: str = ".jsonl") -> list[dict[str, Any]]:
        path = tmp_path / f"rows{suffix}"
        if not isinstance(content, str):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_text(content)
        adapter = adapter_for(source)
        (rows,) = read(spark, inspect([path], adapter.format), adapter.columns, partitions=2)
        found = validate(adapter.candidates(rows), source, bot_agents=bot_agents()).collect()
        return sorted((row.asDict(recursive=True) for row in found), key=lambda r: r["source_row"])

    return run
