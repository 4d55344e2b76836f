"""The static site: pages that show the marts, opened from disk, without a server."""
