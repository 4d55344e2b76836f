"""How keys and dates are made: the same as in dbt, see macros/hash_key.sql."""

from __future__ import annotations

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

SEPARATOR = "\x1f"


def key(*parts: str | SparkColumn) -> SparkColumn:
    """Return the hash of the parts; a string stands for itself."""
    columns = [F.lit(part) if isinstance(part, str) else part for part in parts]
    return F.md5(F.concat_ws(SEPARATOR, *columns))


def date(micros: SparkColumn, zone: str) -> SparkColumn:
    """Return the date, in a time zone, of microseconds since 1970 UTC."""
    return F.to_date(F.from_utc_timestamp(F.timestamp_micros(micros), zone))
