"""Splits that keep near-duplicate prompts together, where a version asks for it."""

import random

from service.models import JobKind
from tests.workers.help import ON_SQLITE, prompt
from tests.workers.made import add_batch, ledger, order, trace_ids, version
from workers.splits import Splits, split_of

WORDS = [f"word{number}" for number in range(300)]
HALVES = {"eval": 0.3, "test": 0.3}


def families() -> list[str]:
    """Twenty questions, each in three wordings that differ in their last word."""
    chosen = random.Random(2)
    said = [" ".join(chosen.choices(WORDS, k=30)) for _ in range(20)]
    return [f"{text} {end}?" for end in ("soon", "today", "then") for text in said]


def test_wordings_of_one_question_share_the_split_of_the_first(tmp_path):
    pages = [list(enumerate(families()))]
    near = Splits.of(HALVES | {"group": "near"}, pages, tmp_path)
    found = [near(number, text) for number, text in pages[0]]
    assert found[:20] == found[20:40] == found[40:]
    assert found[:20] == [split_of(text, HALVES) for text in families()[:20]]
    assert set(found) == {"train", "eval", "test"}


def test_without_the_wish_the_text_alone_decides_and_no_prompt_is_read(tmp_path):
    def nobody():
        raise AssertionError("prompts were read")
        yield

    plain = Splits.of(HALVES | {"group": "text"}, nobody(), tmp_path)
    assert [plain(number, text) for number, text in enumerate(families())] == [
        split_of(text, HALVES) for text in families()
    ]


@ON_SQLITE
def test_a_version_is_split_as_it_asks_and_its_card_says_so(database, work, settings):
    asked = [prompt(number, text) for number, text in enumerate(families())]
    batches = [add_batch(database, some, n=1) for some in (asked[:30], asked[30:])]
    version_id = order(database, "near", batches, [], split=HALVES | {"group": "near"})
    work(lambda: version(database, version_id).state == "sealed", kinds={JobKind.CURATE})
    rows = ledger(database, version_id)
    ids = [each for batch in batches for each in trace_ids(database, batch)]
    found = [rows[each].split for each in ids]
    assert found[:20] == found[20:40] == found[40:]
    card = (settings.data_dir / version(database, version_id).path / "README.md").read_text()
    assert "nearly the same share a split" in card
