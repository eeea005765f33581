"""Splits that keep near-duplicate prompts together."""

import json
import random

import pytest

from service.models import DatasetVersion, JobKind
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


def template(count: int) -> list[str]:
    """Questions from one template: each differs from the one before it in a single word at its end."""
    return [f"{' '.join(WORDS[:40])} {number}?" for number in range(count)]


def of_one_group(prompts: list[str], tmp_path, **wanted) -> tuple[list[str], dict]:
    splits = Splits.of(HALVES | wanted, [list(enumerate(prompts))], tmp_path)
    assert splits.near
    return [splits(number, text) for number, text in enumerate(prompts)], splits.near.model_dump()


def test_a_group_that_would_fill_a_split_is_split_by_text_and_counted(tmp_path):
    # Of 200 prompts a fifth of the smallest split, 0.3 of them, is 12.
    others = [f"{first} {second}?" for first in WORDS[100:113] for second in WORDS[200:217]][: 200 - 13]
    fits = [*template(12), *others, "one?"]
    found, near = of_one_group(fits, tmp_path, group="auto")
    assert len(set(found[:12])) == 1
    assert (near["largest"], near["whole_max"], near["apart"]) == (12, 12, 0)
    found, near = of_one_group([*template(13), *others], tmp_path, group="auto")
    assert found[:13] == [split_of(text, HALVES) for text in template(13)]
    assert (near["groups"], near["prompts"], near["apart"], near["apart_prompts"]) == (1, 13, 1, 13)
    found, near = of_one_group([*template(13), *others], tmp_path, group="near")
    assert (len(set(found[:13])), near["whole_max"], near["apart"]) == (1, None, 0)


def test_in_a_small_set_a_few_wordings_of_a_question_stay_together(tmp_path):
    found, near = of_one_group(template(4), tmp_path, group="auto")
    assert (len(set(found)), near["whole_max"], near["apart"]) == (1, 4, 0)
    found, near = of_one_group(template(5), tmp_path, group="auto")
    assert (found, near["apart_prompts"]) == ([split_of(text, HALVES) for text in template(5)], 5)


@pytest.fixture
def curated(database, work):
    def make(batches: list[str], filters: list, **split) -> DatasetVersion:
        version_id = order(database, "near", batches, filters, split=HALVES | split)
        work(lambda: version(database, version_id).state != "curating", kinds={JobKind.CURATE})
        return version(database, version_id)

    return make


@ON_SQLITE
def test_a_version_is_split_so_in_every_curation_and_says_so(database, settings, curated):
    asked = [prompt(number, text) for number, text in enumerate([*families(), *template(30)])]
    batches = [add_batch(database, some, n=1) for some in (asked[:30], asked[30:])]
    first = curated(batches, [], group="auto")
    rows = ledger(database, first.id)
    found = [rows[each].split for batch in batches for each in trace_ids(database, batch)]
    assert found[:20] == found[20:40] == found[40:60]
    assert found[60:] == [split_of(text, HALVES) for text in template(30)]
    folder = settings.data_dir / first.path
    told = json.loads((folder / "manifest.json").read_text())["near_prompts"]
    assert (
        told
        == first.near_prompts
        == {"groups": 21, "prompts": 90, "largest": 30, "whole_max": 5, "apart": 1, "apart_prompts": 30}
    )
    assert "30 prompts, in groups of near-duplicates too large for one split" in (folder / "README.md").read_text()
    again = curated(batches, [{"kind": "length", "tokens_min": 1}], group="auto")
    assert (again.near_prompts, again.splits) == (first.near_prompts, first.splits)
    assert {key: row.split for key, row in ledger(database, again.id).items()} == {
        key: row.split for key, row in rows.items()
    }
    by_text = curated(batches, [], group="text")
    assert by_text.near_prompts is None
    assert "near_prompts" not in (settings.data_dir / by_text.path / "manifest.json").read_text()
