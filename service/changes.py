"""How a row of one dataset version can fare in another; a file of its own, so that the client need not load tables."""

from enum import StrEnum

NOT_JUDGED = "not_judged"
"""The reason where a version has no verdict on a trace: none of its batches holds it."""


class Change(StrEnum):
    ADDED = "added"
    """Kept now; rejected or not judged before."""
    REMOVED = "removed"
    """Kept before; rejected or not judged now."""
    MOVED = "moved"
    """Kept in both, in different splits."""
