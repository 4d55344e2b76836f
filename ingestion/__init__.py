"""Clickmart's Python: generate events, ingest them, run the warehouse."""
