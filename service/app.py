"""The HTTP application: routes, errors and pages over one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from filters.verifiers.staff import Staff
from service import errors, metrics, openai, pages
from service.access import by_method
from service.api import (
    audit,
    batches,
    benchmarks,
    datasets,
    diffs,
    events,
    health,
    imports,
    keys,
    licences,
    quantizations,
    questions,
    recipes,
    renders,
    rewrites,
    runs,
    soft_labels,
    teachers,
    traces,
)
from service.limits import Door
from service.openai import upstream
from service.requests import Observed
from service.settings import Settings
from service.spooling import sweep_uploads
from service.store.database import Database
from service.submission import sweep
from service.telling import told
from service.throttle import Throttle

DESCRIPTION = "Ask open-weight teachers, keep the good traces, train and measure small students."


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the app over the database that `settings` name; its tables are made if they are missing."""
    settings = settings or Settings()
    database = Database(settings.url())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database.create()
        sweep(database)
        sweep_uploads(settings)
        app.state.staff = Staff()
        async with upstream.client(settings) as app.state.upstream, told(database):
            yield
        app.state.staff.dismiss()
        database.close()

    app = FastAPI(
        title="Retort",
        version=version("retort"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # theirs loads its script from elsewhere; ours is a page like the others
        redoc_url=None,
    )
    app.state.database, app.state.settings, app.state.throttle = database, settings, Throttle()
    app.state.registry = metrics.registry(database)
    app.add_middleware(Door, settings=settings)
    app.add_middleware(Observed, registry=app.state.registry)
    errors.install(app)
    for room in (
        teachers,
        keys,
        audit,
        batches,
        imports,
        questions,
        rewrites,
        traces,
        benchmarks,
        recipes,
        datasets,
        diffs,
        renders,
        runs,
        quantizations,
        licences,
        events,
        health,
    ):
        app.include_router(room.router, dependencies=[Depends(by_method)])
    app.include_router(soft_labels.router, dependencies=[Depends(by_method)])
    openai.install(app)
    pages.install(app)
    return app
