"""Filter `near_duplicate`: the same prompt or trace again, in almost the same words."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

if TYPE_CHECKING:
    from filters.twins import TwinIndex


class NearDuplicate(Filter):
    """Keep the first of several near-duplicates; reject the others, naming the twin and the exact similarity.

    MinHash-LSH (Broder 1997; Indyk and Motwani 1998) finds candidates; the Jaccard similarity of their sets of
    overlapping phrases, computed exactly, decides.
    """

    kind: Literal["near_duplicate"] = "near_duplicate"
    on: Literal["prompt", "trace", "both"] = "both"
    """What is compared: prompts, traces (reasoning and response), or both as one text. Short answers to different
    prompts are often the same, so traces alone are only worth comparing where they are long."""
    threshold: Annotated[float, Field(ge=0.3, le=1)] = 0.8
    """Similarity from which two texts count as one; 0.8 is the usual choice (Lee et al. 2022)."""
    shingle_words: Annotated[int, Field(ge=1, le=20)] = 5
    """Words in a phrase. Fewer find looser paraphrases and more chance likenesses."""
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128
    """Hash functions in a signature: more find more of the pairs near the threshold, at a price in time."""
    across_prompts_only: bool = True
    """The n answers to one prompt are alike by nature; collapsing them is what `select` with `per_prompt` is for."""

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Judge in order, each sample against those kept before it. Memory grows with the number kept."""
        from filters.twins import TwinIndex

        index = TwinIndex(self.threshold, self.shingle_words, self.permutations)
        of_prompt: dict[int, Verdict] = {}
        for sample in samples:
            if self.on != "prompt":
                yield self._compare(index, sample)
                continue
            # All answers to a prompt share its fate, and it is compared once.
            if sample.prompt_id not in of_prompt:
                of_prompt[sample.prompt_id] = self._compare(index, sample)
            yield of_prompt[sample.prompt_id]

    def _compare(self, index: "TwinIndex", sample: Sample) -> Verdict:
        trace = f"{sample.reasoning}\n{sample.response}"
        text = {"prompt": sample.prompt_text, "trace": trace, "both": f"{sample.prompt_text}\n{trace}"}[self.on]
        group = sample.prompt_id if self.across_prompts_only or self.on == "prompt" else None
        twin = index.add(sample.id, text, group)
        if twin is None:
            return KEEP
        what = "text" if self.on == "both" else self.on
        detail = f"its {what} is {twin.similarity:.1%} that of trace {twin.id}"
        return reject("near_duplicate", detail, twin=twin.id, similarity=round(twin.similarity, 4))
