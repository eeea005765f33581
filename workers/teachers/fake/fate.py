"""Which fault a request meets."""

import random
import re
from collections import Counter

from workers.teachers.fake.scenario import Fault, Scenario


class Fate:
    """Decides which fault a request meets: the scenario's memory of what came before."""

    def __init__(self, scenario: Scenario) -> None:
        self._faults = [(fault, re.compile(fault.match) if fault.match else None) for fault in scenario.faults]
        self._rng = random.Random(scenario.seed)  # noqa: S311 - chance for tests, no secret
        self._seen: Counter[str] = Counter()

    def of(self, ordinal: int, prompt: str) -> Fault | None:
        """Return the fault for the request that arrived as number `ordinal`, from 1; None where it gets through."""
        if not self._faults:
            return None
        self._seen[prompt] += 1
        for fault, pattern in self._faults:
            if fault.requests is not None and ordinal not in fault.requests:
                continue
            if pattern is not None and not pattern.search(prompt):
                continue
            if fault.tries is not None and self._seen[prompt] > fault.tries:
                continue
            if fault.probability >= 1 or self._rng.random() < fault.probability:
                return fault
        return None
