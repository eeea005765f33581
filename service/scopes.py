"""What a key allows. A file of its own, so that the client knows the words without loading the tables."""

from enum import StrEnum


class Scope(StrEnum):
    """Each includes the ones before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"
