"""What the card tells about all rows of a version, counted while they pass by: lengths, pass rates, sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from filters.manifest import SourceEntry
from service.store.ledger import LedgerPage
from workers.chart import Bar, bars

JUDGES = ("verified", "vote", "judged")
"""Filters that say whether a response is right; the first of them in a recipe is charted."""
SOURCES_MAX = 10_000
"""Told apart; some submitters name a document for each prompt."""
SOURCES_SHOWN = 100
RATES = ("0 %", "1-24 %", "25-49 %", "50-74 %", "75-99 %", "100 %")


class Tally:
    """Counts over pages of the ledger, which come in the order of their prompts."""

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        kinds = [filter_["kind"] for filter_ in recipe["filters"]]
        self.judge = next((kind for kind in kinds if kind in JUDGES), None)
        """The filter whose pass rates are counted; None means the share of answers that were kept."""
        self._before = set(kinds[: kinds.index(self.judge)]) | {"person"} if self.judge else set[str]()
        self._lengths: tuple[Counter[int], Counter[int]] = Counter(), Counter()
        """Answers, kept and rejected, by the bits of their count of tokens."""
        self._rates = Counter[int]()
        self._prompt: int | None = None
        self._right = self._judged = 0
        self._sourced = False
        """Whether the source of this prompt is counted."""
        self._sources = Counter[tuple[str, str]]()
        self._unnamed = 0

    def add(self, page: LedgerPage) -> None:
        """Count a page."""
        columns = page.columns
        seen = zip(*(columns[name] for name in ("prompt_id", "outcome", "filter", "completion_tokens")), strict=True)
        for prompt_id, outcome, filter_, tokens in seen:
            if prompt_id != self._prompt:
                self._end_prompt()
                self._prompt, self._sourced = prompt_id, False
            kept = outcome == "keep"
            if tokens is not None:
                self._lengths[not kept][tokens.bit_length()] += 1
            if self.judge is None or kept or filter_ not in self._before:
                self._judged += 1
                self._right += kept or (self.judge is not None and filter_ != self.judge)
            if kept and not self._sourced:
                self._sourced = True
                self._count_source(page.prompts[prompt_id].source, page.prompts[prompt_id].license)

    def charts(self) -> dict[str, str]:
        """Return the SVG of each chart by the stem of its name."""
        self._end_prompt()
        rates = [Bar(label, (self._rates[place],)) for place, label in enumerate(RATES)]
        passed = f"passed '{self.judge}'" if self.judge else "were kept"
        of_length = self._length_bars(), "tokens, as the teacher counted them"
        return {
            "lengths": bars("Lengths of the answers", ("kept", "rejected"), *of_length),
            "pass_rates": bars(f"How many answers to a prompt {passed}", ("prompts",), rates, "share of its answers"),
        }

    def sources(self) -> list[SourceEntry]:
        """Return where the kept prompts are from, the most frequent first."""
        found = sorted(self._sources.items(), key=lambda item: (-item[1], item[0]))
        shown = [SourceEntry(source=key[0], license=key[1], prompts=count) for key, count in found[:SOURCES_SHOWN]]
        others = self._unnamed + sum(count for _, count in found[SOURCES_SHOWN:])
        return [*shown, SourceEntry(source="others", license="", prompts=others)] if others else shown

    def _count_source(self, source: str, licence: str) -> None:
        key = source, licence
        if key in self._sources or len(self._sources) < SOURCES_MAX:
            self._sources[key] += 1
        else:
            self._unnamed += 1

    def _end_prompt(self) -> None:
        if self._judged:
            share = self._right / self._judged
            self._rates[0 if share == 0 else 5 if share == 1 else 1 + int(4 * share)] += 1
        self._right = self._judged = 0

    def _length_bars(self) -> Sequence[Bar]:
        kept, rejected = self._lengths
        known = [*kept, *rejected]
        places = range(min(known), max(known) + 1) if known else ()
        return [Bar(_bits(place), (kept[place], rejected[place])) for place in places]


def _bits(place: int) -> str:
    """Return the range of numbers with so many bits."""
    low, high = (1 << place) >> 1, (1 << place) - 1
    return f"{low:,}" if low == high else f"{_short(low)}-{_short(high)}"


def _short(count: int) -> str:
    return f"{count:,}" if count < 1024 else f"{(count + 1) // 1024}k"
