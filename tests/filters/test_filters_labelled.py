"""The published table of verifier errors is what the labelled set gives."""

from collections import Counter

from bench import verifiers


def test_the_published_table_is_what_the_labelled_set_gives_now():
    found = verifiers.judged(verifiers.labelled())
    assert verifiers.page(found) == verifiers.PUBLISHED.read_text(encoding="utf-8"), (
        "a verifier judges otherwise than docs/verifiers.md says: look at what changed, then run "
        "`python -m bench.verifiers --write`"
    )


def test_the_labelled_set_is_large_and_every_line_says_why():
    lines = verifiers.labelled()
    assert len(lines) >= 250
    assert min(Counter((line.verifier, line.right) for line in lines).values()) >= 10
    assert len({(line.verifier, line.response, line.reference) for line in lines}) == len(lines)
    assert all(line.why for line in lines)
