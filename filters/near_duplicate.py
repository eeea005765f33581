"""Filter `near_duplicate`: the same prompt or trace again, in almost the same words."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PrivateAttr

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

if TYPE_CHECKING:
    from filters.twins import Twin, TwinIndex

CHUNK, CHUNK_CHARS = 256, 500_000
"""Samples, and characters of their answers, compared at once: enough that the cost of each step is shared by many."""


class NearDuplicate(Filter):
    """Keep the first of several near-duplicates; reject the others, naming the twin and the exact similarity.

    MinHash-LSH (Broder 1997; Indyk and Motwani 1998) finds candidates; the Jaccard similarity of their sets of
    overlapping phrases, computed exactly, decides.
    """

    version: ClassVar[int] = 3
    alone: ClassVar[bool] = False
    kind: Literal["near_duplicate"] = "near_duplicate"
    on: Literal["prompt", "trace", "both"] = "both"
    """What is compared: prompts, traces (reasoning and response), or both as one text. Short answers to different
    prompts are often the same, so traces alone are only worth comparing where they are long."""
    threshold: Annotated[float, Field(ge=0.3, le=1)] = 0.8
    """Similarity from which two texts count as one; 0.8 is the usual choice (Lee et al. 2022)."""
    shingle_words: Annotated[int, Field(ge=1, le=20)] = 5
    """Words in a phrase. Fewer find looser paraphrases and more chance likenesses."""
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128
    """Hashes in a signature: more find more of the pairs near the threshold, at a price in time."""
    across_prompts_only: bool = True
    """The n answers to one prompt are alike by nature; collapsing them is what `select` with `per_prompt` is for."""
    _folder: Path | None = PrivateAttr(default=None)

    def keep_in(self, folder: Path) -> None:
        """Say where to keep what is computed of each text, and look it up the next time; no verdict depends on it."""
        self._folder = folder

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Judge in order, each sample against those kept before it, reading ahead by a few hundred.

        For every text kept some 170 bytes stay in memory and 4 bytes a phrase on disk.
        """
        from filters.sketches import Sketches
        from filters.twins import TwinIndex

        with ExitStack() as open_:
            known = Sketches(self._folder, self.shingle_words) if self._folder else None
            if known:
                open_.enter_context(closing(known))
            index = TwinIndex(self.threshold, self.shingle_words, self.permutations, known)
            open_.enter_context(closing(index))
            if self.on == "prompt":
                yield from self._by_prompt(index, samples)
                return
            for chunk in _chunks(samples):
                twins = index.add([(sample.id, self._text(sample), self._group(sample)) for sample in chunk])
                yield from map(self._verdict, twins)

    def _by_prompt(self, index: "TwinIndex", samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Compare each prompt once: all answers to it share its fate."""
        from filters.twins import Fates

        fates = Fates()
        for chunk in _chunks(samples):
            known = fates.of({sample.prompt_id for sample in chunk})
            new: dict[int, Sample] = {}
            for sample in chunk:
                if sample.prompt_id not in known:
                    new.setdefault(sample.prompt_id, sample)
            twins = index.add([(sample.id, sample.prompt_text, sample.prompt_id) for sample in new.values()])
            told = dict(zip(new, twins, strict=True))
            fates.add(told)
            known |= told
            yield from (self._verdict(known[sample.prompt_id]) for sample in chunk)

    def _text(self, sample: Sample) -> str:
        trace = f"{sample.reasoning}\n{sample.response}"
        return trace if self.on == "trace" else f"{sample.prompt_text}\n{trace}"

    def _group(self, sample: Sample) -> int | None:
        return sample.prompt_id if self.across_prompts_only else None

    def _verdict(self, twin: "Twin | None") -> Verdict:
        if twin is None:
            return KEEP
        what = "text" if self.on == "both" else self.on
        detail = f"its {what} is {twin.similarity:.1%} that of trace {twin.id}"
        return reject("near_duplicate", detail, twin=twin.id, similarity=round(twin.similarity, 4))


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    chunk, characters = list[Sample](), 0
    for sample in samples:
        chunk.append(sample)
        characters += len(sample.reasoning) + len(sample.response)
        if len(chunk) == CHUNK or characters >= CHUNK_CHARS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
