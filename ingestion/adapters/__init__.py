"""One module per source format: each maps its source's columns to the event contract."""

from __future__ import annotations

from pathlib import Path

from ingestion.adapters import (
    ga4,
    mapping,
    native,
    posthog,
    rees46,
    retailrocket,
    segment,
    snowplow,
)
from ingestion.adapters.adapter import Adapter
from ingestion.adapters.mapping_file import is_mapping_file, read_mapping
from ingestion.errors import UsageError

__all__ = ["ADAPTERS", "Adapter", "adapter_for"]

ADAPTERS: dict[str, Adapter] = {
    a.name: a
    for a in (
        native.ADAPTER,
        rees46.ADAPTER,
        ga4.ADAPTER,
        posthog.ADAPTER,
        retailrocket.ADAPTER,
        segment.ADAPTER,
        snowplow.ADAPTER,
    )
}


def adapter_for(source: str) -> Adapter:
    """Return the adapter of a source, or of a mapping file (a path that ends in .yml or .yaml).

    Raises UsageError for a source that is not known and for a mapping that cannot be.
    """
    if is_mapping_file(source):
        return mapping.adapter_of(read_mapping(Path(source), ADAPTERS))
    if source not in ADAPTERS:
        raise UsageError(
            f"Unknown source {source!r}. Known: {', '.join(sorted(ADAPTERS))}; "
            "or a mapping of your own, such as my-shop.yml."
        )
    return ADAPTERS[source]
