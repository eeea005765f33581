"""What a process counts of teachers and rows, and how that reaches the database, where every API finds it.

Through the database rather than a port of each worker: one address to scrape, wherever the workers run and however many
there are; nothing to open in a firewall; and no count lost when a process ends, since rows add up for good. The price
is a small write every few seconds. A `kill -9` loses what was counted since the last one: figures, never answers.
"""

import json
import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

COUNTED = CollectorRegistry()
"""Of this process; the library's own way is one registry for all of it."""

TEACHER_REQUESTS = Counter(
    "retort_teacher_requests",
    "Requests to teachers by how they ended: ok, rate_limited, server_error, timeout and the other reasons.",
    ["teacher", "outcome"],
    registry=COUNTED,
)
TEACHER_SECONDS = Histogram(
    "retort_teacher_request_seconds",
    "Seconds until a teacher's answer was there; of requests that brought one.",
    ["teacher"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640),
    registry=COUNTED,
)
TEACHER_TOKENS = Counter(
    "retort_teacher_tokens",
    "Tokens that teachers counted in their answers, by kind: prompt or completion.",
    ["teacher", "kind"],
    registry=COUNTED,
)
ROWS = Counter("retort_rows", "Rows that long work went through: curated, exported.", ["work"], registry=COUNTED)
IN_FLIGHT = Gauge(
    "retort_teacher_in_flight", "Requests that teachers are answering for workers now.", ["teacher"], registry=COUNTED
)
LIMIT = Gauge(
    "retort_teacher_limit",
    "Requests in flight that workers allow teachers now: all servers', less while they are overloaded.",
    ["teacher"],
    registry=COUNTED,
)

Key = tuple[str, str]
"""Name of a sample, and its labels as JSON with sorted keys."""


class News:
    """What was counted since it was last taken: of the whole process, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[Key, float] = {}

    def take(self) -> dict[Key, float]:
        """Return what each count has grown by; whoever takes it must store it, or `put_back`."""
        with self._lock:
            # A new series is told even while it is zero: a histogram needs all of its buckets.
            now = {key: value for key, value in _samples(gauges=False) if value != self._told.get(key)}
            grown = {key: value - self._told.get(key, 0.0) for key, value in now.items()}
            self._told |= now
            return grown

    def put_back(self, news: Mapping[Key, float]) -> None:
        """Let what could not be stored be taken again."""
        with self._lock:
            for key, value in news.items():
                self._told[key] -= value


NEWS = News()


def gauges() -> list[dict[str, object]]:
    """Return how things stand in this process."""
    found = (dict(zip(("name", "labels", "value"), (*key, value), strict=True)) for key, value in _samples(gauges=True))
    return [{**each, "labels": json.loads(str(each["labels"]))} for each in found]


def families() -> list[Metric]:
    """Return the metrics without samples: name, text and kind of each."""
    return [Metric(each.name, each.documentation, each.type) for each in COUNTED.collect()]


def labels_key(labels: Mapping[str, str]) -> str:
    """Return labels as a database's key."""
    return json.dumps(dict(sorted(labels.items())))


def _samples(*, gauges: bool) -> list[tuple[Key, float]]:
    return [
        ((sample.name, labels_key(sample.labels)), sample.value)
        for metric in COUNTED.collect()
        if (metric.type == "gauge") == gauges
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]
