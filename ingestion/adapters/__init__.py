"""One module per source format: each maps its source's columns to the event contract."""

from __future__ import annotations

from ingestion.adapters import ga4, native, posthog, rees46, segment, snowplow
from ingestion.adapters.adapter import Adapter
from ingestion.errors import UsageError

__all__ = ["ADAPTERS", "Adapter", "adapter_for"]

ADAPTERS: dict[str, Adapter] = {
    a.name: a
    for a in (
        native.ADAPTER,
        rees46.ADAPTER,
        ga4.ADAPTER,
        posthog.ADAPTER,
        segment.ADAPTER,
        snowplow.ADAPTER,
    )
}


def adapter_for(source: str) -> Adapter:
    """Return the adapter of a source. Raises UsageError for one that is not known."""
    if source not in ADAPTERS:
        raise UsageError(f"Unknown source {source!r}. Known: {', '.join(sorted(ADAPTERS))}.")
    return ADAPTERS[source]
