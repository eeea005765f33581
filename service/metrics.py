"""Figures for Prometheus. Those of the work come from the database: every API gives the same, whoever did the work.

Where several APIs are scraped, take the `max` of such figures over the instances, not the sum. What a process counts
of its own requests (`retort_http_…`, `process_…`) is its own.
"""

import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import Session

from service import counting as counted
from service.models import JobKind, JobState
from service.store import figures, stats
from service.store.database import Database

_SUMS = {
    "stored": "Answers stored as traces, of the batches that are there.",
    "failed": "Answers that ended as failed, with a reason.",
    "prompt_tokens": "Prompt tokens the teacher counted.",
    "completion_tokens": "Completion tokens the teacher counted.",
    "reasoning_lost": "Answers whose usage counts reasoning tokens while no reasoning text came.",
}


def registry(database: Database) -> CollectorRegistry:
    """Return the metrics of one API process over `database`; it adds those of its own requests."""
    disable_created_metrics()  # a second series for each, of which nobody asks
    made = CollectorRegistry()
    made.register(_Figures(database))
    ProcessCollector(registry=made)
    build = Info("retort_build", "Versions of Retort and Python.", registry=made)
    build.info({"version": version("retort"), "python": platform.python_version()})
    return made


class _Figures(Collector):
    def __init__(self, database: Database) -> None:
        self.database = database

    def describe(self) -> list[Metric]:
        # Without it, registering would collect, and the tables may not be there yet.
        return []

    def collect(self) -> Iterator[Metric]:
        with self.database.read() as session:
            found = [*_queue(session), *_answers(session), *_workers(session), *_counted(session), *_runs(session)]
            size = stats.database_bytes(session)
        yield from found
        yield GaugeMetricFamily("retort_database_bytes", "Room that the database takes.", value=size)


def _queue(session: Session) -> Iterator[Metric]:
    piles = stats.piles(session)
    jobs = _gauge("retort_jobs", "Jobs by kind and state.", ["kind", "state"])
    oldest = _gauge("retort_oldest_job_seconds", "Since the oldest queued job was ordered; 0 without one.", ["kind"])
    leases = _gauge("retort_leases", "Jobs that run: held, or expired and to be taken over.", ["kind", "state"])
    ages = dict.fromkeys(JobKind, 0.0)
    for pile in piles:
        jobs.add_metric([pile.kind, pile.state], pile.jobs)
        if pile.state == JobState.QUEUED:
            ages[JobKind(pile.kind)] = pile.age_s
        if pile.state == JobState.RUNNING:
            leases.add_metric([pile.kind, "held"], pile.jobs - pile.expired)
            leases.add_metric([pile.kind, "expired"], pile.expired)
    for kind, age_s in ages.items():
        oldest.add_metric([kind], age_s)
    yield from (jobs, oldest, leases)


def _answers(session: Session) -> Iterator[Metric]:
    answers = stats.answers_by_teacher(session)
    for name, text in _SUMS.items():
        family = CounterMetricFamily(f"retort_{name}", text, labels=["teacher"])
        for teacher, sums in answers.items():
            family.add_metric([teacher], sums[name])
        yield family


def _workers(session: Session) -> Iterator[Metric]:
    """Yield which workers are there, and how things stand in all of them together."""
    there = figures.workers(session)
    kinds = _gauge("retort_workers", "Worker processes that are there, by kind of job that they do.", ["kind"])
    for kind in JobKind:
        kinds.add_metric([kind], sum(kind in worker.kinds for worker in there))
    yield kinds
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for gauge in (gauge for worker in there for gauge in worker.gauges):
        sums[gauge["name"], counted.labels_key(gauge["labels"])] += gauge["value"]
    yield from _filled((metric for metric in counted.families() if metric.type == "gauge"), sums.items())


def _counted(session: Session) -> Iterator[Metric]:
    rows = [((row.name, row.labels), row.value) for row in figures.every(session)]
    yield from _filled((metric for metric in counted.families() if metric.type != "gauge"), rows)


def _filled(families: Iterable[Metric], rows: Iterable[tuple[tuple[str, str], float]]) -> Iterator[Metric]:
    """Yield the metrics with those samples that are theirs; what an older or later Retort counted is left out."""
    by_name: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for (name, labels), value in rows:
        by_name[name].append((json.loads(labels), value))
    for metric in families:
        for ending in _ENDINGS[metric.type]:
            for labels, value in sorted(by_name[metric.name + ending], key=_order):
                metric.add_sample(metric.name + ending, labels, value)
        yield metric


_ENDINGS = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def _order(sample: tuple[dict[str, str], float]) -> tuple[list[str], float]:
    """By labels, and the buckets of a histogram from the lowest to the highest."""
    labels = dict(sample[0])
    bound = float(labels.pop("le", 0))
    return sorted(labels.values()), bound


def _runs(session: Session) -> Iterator[Metric]:
    labels = ["run", "method"]
    step = _gauge("retort_run_step", "Steps that a training under way has done.", labels)
    steps = _gauge("retort_run_steps", "Steps that it will have done in the end.", labels)
    loss = _gauge("retort_run_loss", "Its loss at the newest step.", labels)
    speed = _gauge("retort_run_tokens_per_second", "Tokens that it learns from each second.", labels)
    for run in stats.trainings(session):
        told = ((step, run.step), (steps, run.steps), (loss, run.loss), (speed, run.tokens_per_s))
        for family, value in told:
            if value is not None:
                family.add_metric([run.run, run.method], value)
    yield from (step, steps, loss, speed)


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)
