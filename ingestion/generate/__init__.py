"""The generator: a shop's events, with everything that is wrong with them planted and told."""

from ingestion.generate.options import Format, GenerateOptions
from ingestion.generate.run import GenerateSummary, generate

__all__ = ["Format", "GenerateOptions", "GenerateSummary", "generate"]
