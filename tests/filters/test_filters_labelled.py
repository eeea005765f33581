"""The published tables of errors are what the labelled sets give."""

from collections import Counter

import pytest

from bench.verifiers import FILTERS, VERIFIERS
from filters.sandbox.cell import SandboxUnavailable
from filters.sandbox.ready import ready
from tests.conftest import leave_out


@pytest.mark.parametrize("labelled", [VERIFIERS, FILTERS], ids=lambda labelled: labelled.what)
def test_the_published_table_is_what_the_labelled_set_gives_now(labelled):
    if labelled is VERIFIERS:
        try:
            ready()
        except SandboxUnavailable as error:
            leave_out(f"the table of verifiers, which judges programs: {error}")
    assert labelled.page() == labelled.published.read_text(encoding="utf-8"), (
        f"a {labelled.what} judges otherwise than {labelled.published.name} says: look at what changed, then run "
        "`python -m bench.verifiers --write`"
    )


@pytest.mark.parametrize("labelled", [VERIFIERS, FILTERS], ids=lambda labelled: labelled.what)
def test_the_labelled_set_is_large_and_every_line_says_why(labelled):
    lines = labelled.lines()
    assert len(lines) >= 250
    assert min(Counter((line.name, line.right) for line in lines).values()) >= 10
    assert {line.name for line in lines} == set(labelled.words)
    texts = {(line.name, line.response, line.reference, line.reasoning, line.prompt, str(line.knobs)) for line in lines}
    assert len(texts) == len(lines)
    assert all(line.why for line in lines)
