"""What all tests of the filters share."""

from collections.abc import Callable
from typing import Any

import pytest

from filters.sample import Sample


def make_sample(**changes: Any) -> Sample:
    usual: dict[str, Any] = {
        "id": 1,
        "prompt_id": 1,
        "messages": [{"role": "user", "content": "What is 6 times 7?"}],
        "response": r"The answer is \boxed{42}.",
        "reasoning": "Six sevens are forty-two.",
        "completion_tokens": 100,
        "reference": "42",
        "teacher_license": "apache-2.0",
        "license": "own",
    }
    return Sample(**usual | changes)


@pytest.fixture(scope="session")
def sample() -> Callable[..., Sample]:
    """Make a good sample, changed as the test says."""
    return make_sample
