"""What can go wrong, in two kinds: the user can mend it, or the system is away."""

from __future__ import annotations


class ClickmartError(Exception):
    """Something the user can mend. The message names the thing, the value and the remedy."""

    exit_code = 1


class UsageError(ClickmartError):
    """The command's words are off: an unknown source, an impossible number."""

    exit_code = 2


class InputError(ClickmartError):
    """An input file or folder that cannot be read as what it was said to be."""


class DatabaseError(ClickmartError):
    """PostgreSQL cannot be reached, refuses the login, or failed under way."""


class EngineError(ClickmartError):
    """No engine can be started, or the one running failed."""
