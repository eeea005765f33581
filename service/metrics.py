"""Figures for Prometheus, read from the database: every API process gives the same ones, whoever did the work."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.store import stats
from service.store.database import Database


class _Figures(Collector):
    def __init__(self, database: Database) -> None:
        self.database = database

    def collect(self) -> list[Metric]:
        with self.database.read() as session:
            jobs, answers = stats.jobs_by_state(session), stats.answers_by_teacher(session)
        queued = GaugeMetricFamily("retort_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        for (kind, state), count in jobs.items():
            queued.add_metric([kind, state], count)
        families: list[Metric] = [queued]
        for name, text in _COUNTED.items():
            family = CounterMetricFamily(f"retort_{name}", text, labels=["teacher"])
            for teacher, sums in answers.items():
                family.add_metric([teacher], sums[name])
            families.append(family)
        return families


_COUNTED = {
    "stored": "Answers stored as traces.",
    "failed": "Answers that ended as failed, with a reason.",
    "prompt_tokens": "Prompt tokens the teacher counted.",
    "completion_tokens": "Completion tokens the teacher counted.",
    "reasoning_lost": "Answers whose usage counts reasoning tokens while no reasoning text came.",
}


def exposition(database: Database) -> bytes:
    """Return the metrics page."""
    registry = CollectorRegistry()
    registry.register(_Figures(database))
    return generate_latest(registry)
