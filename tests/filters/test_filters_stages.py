import itertools
from collections.abc import Iterable, Iterator
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import Filter
from filters.funnel import Funnel
from filters.length import Length
from filters.recipe import Recipe
from filters.sample import Sample
from filters.select import Select
from filters.spool import Spool
from filters.stages import FilterCrash, run
from filters.verdict import KEEP, Outcome, Verdict, abstain, reject


class Scripted(Filter):
    """Says of each sample what its category spells for this filter, reading ahead as far as it is told."""

    kind: Literal["scripted"] = "scripted"
    letter: int = 0
    ahead: int = 0

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        known = {"k": KEEP, "r": reject("rejected"), "a": abstain("abstained")}
        samples = iter(samples)
        held: list[Sample] = []
        while True:
            held += itertools.islice(samples, self.ahead + 1 - len(held))
            if not held:
                return
            yield known[held.pop(0).category[self.letter]]


class Crashing(Filter):
    """Breaks at one sample."""

    kind: Literal["crashing"] = "crashing"
    at: int = 3

    def check(self, sample: Sample) -> Verdict:
        if sample.id == self.at:
            raise ZeroDivisionError("of course")
        return KEEP


class Miscounting(Filter):
    """Yields a number of verdicts of its own."""

    kind: Literal["miscounting"] = "miscounting"
    verdicts: int = 0
    read: bool = True

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        if self.read:
            list(samples)
        for _ in range(self.verdicts):
            yield KEEP


class Wordy(Filter):
    """Gives something else for a verdict."""

    kind: Literal["wordy"] = "wordy"

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        for _ in samples:
            yield "keep"  # type: ignore[misc]


def recipe(*filters: Filter, **changes) -> Recipe:
    return Recipe.model_construct(filters=filters, on_abstain="keep", **changes)


def scripts(sample, *categories):
    return [sample(id=number, category=category) for number, category in enumerate(categories)]


def test_each_filter_sees_what_those_before_it_kept(sample):
    rows = list(run(recipe(Scripted(letter=0), Scripted(letter=1)), scripts(sample, "kk", "rk", "kr", "rr", "kk")))
    assert [row.sample.id for row in rows] == [0, 1, 2, 3, 4]
    assert [row.index for row in rows] == [None, 0, 1, 0, None]
    assert [row.outcome.value for row in rows] == ["keep", "reject", "reject", "reject", "keep"]


def test_a_rejected_row_names_filter_version_and_verdict(sample):
    (row,) = run(Recipe.parse({"filters": [{"kind": "length"}]}), [sample(completion_tokens=3)])
    assert (row.index, row.kind, row.version, row.verdict.reason) == (0, "length", Length.version, "too_short")


def test_an_abstention_goes_on_and_is_remembered(sample):
    (row,) = run(recipe(Scripted(letter=0), Scripted(letter=1)), scripts(sample, "aa"))
    assert (row.outcome, row.index) == ("keep", None)
    assert [(one.index, one.kind, one.verdict.reason) for one in row.abstentions] == [
        (0, "scripted", "abstained"),
        (1, "scripted", "abstained"),
    ]


def test_an_abstention_rejects_where_the_recipe_says_so(sample):
    judging = Recipe.model_construct(filters=(Scripted(),), on_abstain="reject")
    (row,) = run(judging, scripts(sample, "a"))
    assert (row.outcome, row.index, row.verdict.reason) == ("reject", 0, "abstained")
    assert row.abstentions == ()


def test_an_empty_recipe_keeps_everything_and_no_samples_give_no_rows(sample):
    assert [row.outcome.value for row in run(recipe(), [sample()])] == ["keep"]
    assert list(run(recipe(Scripted(), Select()), [])) == []


def test_samples_are_read_only_as_far_ahead_as_the_filters_read(sample):
    read = itertools.count()
    endless = (sample(id=number, category="kk") for number in read)
    rows = run(recipe(Scripted(letter=0, ahead=5), Scripted(letter=1)), endless)
    next(rows)
    assert next(read) == 6
    rows.close()


def test_rejected_rows_do_not_pile_up_behind_a_filter_that_reads_nothing_more(sample):
    rows = run(recipe(Scripted(letter=0), Scripted(letter=1)), scripts(sample, *["rk"] * 50, "kk", *["rk"] * 50))
    assert [row.sample.id for row in rows] == list(range(101))


@settings(max_examples=60)
@given(
    st.lists(st.text(alphabet="kra", min_size=3, max_size=3), max_size=40),
    st.lists(st.integers(0, 50), min_size=3, max_size=3),
    st.sampled_from(["keep", "reject"]),
)
def test_every_sample_comes_out_once_in_order_and_the_funnel_adds_up(sample, categories, ahead, on_abstain):
    filters = tuple(Scripted(letter=n, ahead=ahead[n]) for n in range(3))
    judging = Recipe.model_construct(filters=filters, on_abstain=on_abstain)
    funnel = Funnel(judging)
    rows = list(funnel.watch(run(judging, scripts(sample, *categories))))
    assert [row.sample.id for row in rows] == list(range(len(categories)))

    expected = []
    for category in categories:
        ends = [n for n in range(3) if category[n] == "r" or (category[n] == "a" and on_abstain == "reject")]
        expected.append(ends[0] if ends else None)
    assert [row.index for row in rows] == expected

    counts = funnel.counts()
    assert funnel.input == len(categories) == funnel.kept + sum(count.rejected for count in counts)
    assert funnel.kept == sum(row.outcome is Outcome.KEEP for row in rows)
    for before, after in itertools.pairwise(counts):
        assert after.input == before.kept
    for count in counts:
        assert count.input == count.kept + count.rejected
        assert sum(count.reasons.values()) == count.rejected + (count.abstained if on_abstain == "keep" else 0)


def test_the_funnel_tells_knobs_version_and_reasons(sample):
    judging = Recipe.parse({"filters": [{"kind": "length", "tokens_min": 5}]})
    funnel = Funnel(judging)
    for _ in funnel.watch(run(judging, [sample(completion_tokens=n) for n in (4, 5, 9000, None)])):
        pass
    (count,) = funnel.counts()
    assert (count.kind, count.version, count.knobs["tokens_min"]) == ("length", 1, 5)
    assert (count.input, count.kept, count.rejected, count.abstained) == (4, 2, 2, 1)
    assert count.reasons == {"too_short": 1, "too_long": 1, "tokens_unknown": 1}


# ------------------------------------------------------------------ crashes


def test_a_filter_that_raises_fails_the_run_and_names_filter_and_trace(sample):
    rows = run(recipe(Scripted(), Crashing(at=3)), scripts(sample, "k", "k", "k", "k", "k"))
    assert [next(rows).sample.id for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FilterCrash, match=r"filter 1 \(crashing\) at trace 3: ZeroDivisionError: of course") as caught:
        next(rows)
    assert caught.value.sample_id == 3
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_crash_is_not_blamed_on_the_filters_after_it(sample):
    with pytest.raises(FilterCrash, match=r"filter 0 \(crashing\)") as caught:
        list(run(recipe(Crashing(at=0), Scripted(ahead=9), Select()), scripts(sample, "k")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_the_samples_themselves_raise_passes_through(sample):
    def broken():
        yield sample(category="k")
        raise ConnectionError("database gone")

    with pytest.raises(ConnectionError, match="database gone"):
        list(run(recipe(Scripted(), Select()), broken()))


@pytest.mark.parametrize(
    ("verdicts", "read", "fault"),
    [(3, True, "fewer"), (5, True, "more"), (0, False, "fewer"), (4, False, "more"), (0, True, "fewer")],
)
def test_a_filter_that_miscounts_fails_the_run(sample, verdicts, read, fault):
    rows = run(recipe(Miscounting(verdicts=verdicts, read=read)), scripts(sample, *"kkkk"))
    with pytest.raises(FilterCrash, match=fault):
        list(rows)


def test_a_filter_that_gives_no_verdicts_fails_the_run(sample):
    with pytest.raises(FilterCrash, match="it gave str for a verdict"):
        list(run(recipe(Wordy()), [sample()]))


def test_the_same_traces_and_recipe_give_the_same_rows(sample):
    judging = Recipe.parse(
        {
            "filters": [
                {"kind": "length"},
                {"kind": "repetition"},
                {"kind": "licence"},
                {"kind": "verified"},
                {"kind": "near_duplicate"},
                {"kind": "select", "count": 3},
            ]
        }
    )
    samples = [
        sample(id=n, prompt_id=n, completion_tokens=n * 8, messages=[{"role": "user", "content": f"How many {n}?"}])
        for n in range(12)
    ]
    first, second = (list(run(judging, samples)) for _ in range(2))
    assert first == second
    assert sum(row.outcome is Outcome.KEEP for row in first) == 3


# ------------------------------------------------------------------ the spool


@settings(max_examples=50)
@given(st.lists(st.booleans(), max_size=4000), st.integers(1, 20))
def test_a_spool_gives_back_what_it_took_in_order(pushes, in_memory_max):
    spool: Spool[int] = Spool(in_memory_max)
    taken, given_ = [], 0
    for push in pushes:
        if push or not spool:
            spool.append(given_)
            given_ += 1
        else:
            assert spool.first() == len(taken)
            taken.append(spool.popleft())
    while spool:
        taken.append(spool.popleft())
    spool.close()
    assert taken == list(range(given_))


def test_a_spool_keeps_few_rows_in_memory():
    spool: Spool[str] = Spool(100)
    for number in range(50_000):
        spool.append(f"row {number}")
    assert len(spool._head) + len(spool._tail) < 1000
    assert [spool.popleft() for _ in range(50_000)] == [f"row {number}" for number in range(50_000)]
    assert not spool
    spool.close()


def test_a_run_that_spills_to_disk_loses_nothing(sample, monkeypatch):
    monkeypatch.setattr("filters.spool.IN_MEMORY_MAX", 10)
    samples = scripts(sample, *["k", "r"] * 3000)
    rows = list(run(recipe(Scripted(), Select(count=1000)), samples))
    assert [row.sample for row in rows] == samples
    assert sum(row.outcome is Outcome.KEEP for row in rows) == 1000
