"""What the audit remembers. A file of its own, so that the client knows the words without loading the tables."""

from enum import StrEnum


class Act(StrEnum):
    """What somebody did that others may ask about later: `thing.what`."""

    KEY_MADE = "key.made"
    KEY_REVOKED = "key.revoked"
    KEY_REFUSED = "key.refused"
    """Somebody gave a key that opens nothing."""
    KEY_THROTTLED = "key.throttled"
    """So many of them came from one address that no further ones are looked at for a while."""
    TEACHER_ADDED = "teacher.added"
    TEACHER_CHANGED = "teacher.changed"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_DELETED = "batch.deleted"
    FILE_DOWNLOADED = "file.downloaded"
    FILE_DELETED = "file.deleted"
    COMPLETION_DELETED = "completion.deleted"
    TRACE_REVIEWED = "trace.reviewed"
    LICENCE_OVERRIDDEN = "licence.overridden"
    VERSION_DOWNLOADED = "version.downloaded"
    VERSION_DELETED = "version.deleted"
    RUN_CANCELLED = "run.cancelled"
