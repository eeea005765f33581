"""OpenTelemetry traces, for those who set `OTEL_EXPORTER_OTLP_ENDPOINT`; for all others nothing is even imported.

Requests, jobs and calls of teachers are spans; teachers get the W3C `traceparent` header, so that a server that traces
too, as vLLM can, stands in the same trace. Names and shares of what is sampled are OpenTelemetry's own settings:
`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`. Needs the extra `otel`.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
UNTRACED = "healthz,readyz,metrics,static"
STOP_S = 1.5
"""Less than the time after which `retort up` kills who was asked to stop."""

_tracer: "Tracer | None" = None


def start(part: str) -> None:
    """Trace this process, `api` or `worker`, where the environment asks for it; spans go out in the background."""
    global _tracer
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: pip install 'retort[otel]'")
        return
    named = os.environ.get("OTEL_SERVICE_NAME") or f"retort-{part}"
    provider = TracerProvider(resource=Resource.create({"service.name": named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer("retort")


def stop() -> None:
    """Send what has not gone out yet; a collector that does not answer is not waited for longer than STOP_S."""
    if _tracer is not None:
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        sending = threading.Thread(target=provider.shutdown, daemon=True)
        sending.start()
        sending.join(STOP_S)


def trace_requests(app: "FastAPI") -> None:
    """Make a span of each request to the app, in the trace of its caller."""
    if _tracer is not None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app, excluded_urls=UNTRACED, exclude_spans=["receive", "send"])


def span(name: str, attributes: Mapping[str, Any], *, client: bool = False) -> AbstractContextManager[None]:
    """Let the block be a span, below the one around it; an exception that leaves it is noted by its type alone."""
    return nullcontext() if _tracer is None else _span(_tracer, name, attributes, client)


@contextmanager
def _span(tracer: "Tracer", name: str, attributes: Mapping[str, Any], client: bool) -> Iterator[None]:
    from opentelemetry.trace import SpanKind, Status, StatusCode

    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    options = {"kind": kind, "attributes": attributes, "record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(name, **options) as made:
        try:
            yield
        except BaseException as error:
            # Its text may quote a prompt.
            made.set_status(Status(StatusCode.ERROR, getattr(error, "reason", None) or type(error).__name__))
            raise


def headers() -> dict[str, str]:
    """Return what tells the other side of a request which trace it belongs to."""
    if _tracer is None:
        return {}
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier
