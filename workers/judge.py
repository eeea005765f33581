"""Whether answers are right, as they come: for batches that ask until there are enough of those."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from filters.sample import Sample
from filters.verdict import Outcome
from filters.verified import Verified
from filters.verifiers.pool import Pool
from service.store.generation import Ask
from service.teachers.protocol import Completion

THREADS = 2
"""Each waits for one prompt's answers; the work itself is done by the pool's processes."""


class Judge:
    """The filter `verified` with its default knobs, for single answers. Its processes start as they are needed."""

    def __init__(self) -> None:
        self._filter = Verified()
        self._pool = Pool(timeout_s=self._filter.timeout_s, processes=max(1, (os.cpu_count() or 2) // 2))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="judge")

    async def accept(self, ask: Ask, completions: Sequence[Completion]) -> list[bool]:
        """Say of each answer whether it is right: whole, and kept by `verified`. Undecided counts as not right."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._accept, ask, completions)

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown()
        self._pool.close()

    def _accept(self, ask: Ask, completions: Sequence[Completion]) -> list[bool]:
        items = (self._filter.item(_sample(ask, completion)) for completion in completions)
        verdicts = self._pool.verify_many(items)
        return [
            verdict.outcome == Outcome.KEEP and completion.finish_reason != "length"
            for verdict, completion in zip(verdicts, completions, strict=True)
        ]


def _sample(ask: Ask, completion: Completion) -> Sample:
    return Sample(
        id=0,
        prompt_id=ask.prompt_id,
        messages=ask.messages,
        response=completion.response,
        finish_reason=completion.finish_reason,
        reference=ask.reference,
        verifier=ask.verifier,
    )
