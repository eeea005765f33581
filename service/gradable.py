"""Which references no verifier can grade: known while prompts come in, before a token is spent on them."""

from collections.abc import Iterable, Iterator
from typing import Any

from filters.verified import Verified
from filters.verifiers import VERIFIERS
from service.formats.record import Fault

DEFAULT = Verified.model_fields["default_verifier"].default
"""Grades where the prompt names no verifier, unless the recipe says otherwise."""
SHOWN_MAX = 20
"""Lines that a batch remembers; how many there are is counted in full."""
REFERENCE_CHARS_MAX = 80
ID_CHARS_MAX = 80


def ungradable(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield `line`, `id`, `verifier` and the start of `reference` of each prompt row whose reference cannot be graded.

    Runs in the service's own process: every verifier's `gradable` is bounded, whatever a reference holds.
    """
    for row in rows:
        reference = row["reference"]
        if reference is None or not reference.strip():
            continue  # no reference is no mistake: `verified` abstains, `vote` may judge
        name = row["verifier"] or DEFAULT
        if not VERIFIERS[name].gradable(reference):
            yield {
                "line": row["line"],
                "id": row["key"][:ID_CHARS_MAX],
                "verifier": name,
                "reference": reference[:REFERENCE_CHARS_MAX],
            }


def fault(unfit: dict[str, Any]) -> Fault:
    """Return how a refusal puts it."""
    message = f"the verifier '{unfit['verifier']}' cannot grade the reference '{unfit['reference']}'"
    return {"field": "reference", "message": message, "code": "ungradable_reference"}
