"""`python -m ingestion` is the same as `clickmart`."""

from ingestion.cli import main

main()
