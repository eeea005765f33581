"""Fixtures of the trainer's tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import make_row, write_dataset, write_student


@pytest.fixture(scope="session", autouse=True)
def _offline() -> Iterator[None]:
    """Nothing here may reach the hub; on a busy machine threads must not spin."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }.items():
            patch.setenv(name, os.environ.get(name, value))
        yield


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student"))


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write a dataset folder; called without rows it holds 64 to train on, 8 to evaluate and 16 to test with."""

    def build(train: list[dict[str, Any]] | None = None, **parts: Any) -> Path:
        parts = {"evaluate": [make_row(n) for n in range(1000, 1008)]} | parts
        parts = {"test": [make_row(n) for n in range(2000, 2016)]} | parts
        rows = train if train is not None else [make_row(n) for n in range(64)]
        return write_dataset(tmp_path / f"dataset-{len(list(tmp_path.iterdir()))}", rows, **parts)

    return build
