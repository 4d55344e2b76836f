"""What stands in the site's pages, read back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def data_of(site: Path, page: str) -> dict[str, Any]:
    """The tables in a page."""
    text = (site / f"{page}.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))
