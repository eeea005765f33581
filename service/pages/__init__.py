"""The pages: what people look at in a browser, over the same store and views as the API.

A new page is a function in the file of its subject, a template of the same name, and a link in `base.html` if it is a
subject of its own.
"""

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from service.access import by_method
from service.pages import (
    audit,
    batches,
    datasets,
    errors,
    home,
    licences,
    recipes,
    reference,
    reviewing,
    runs,
    settings,
    sign_in,
    teachers,
    traces,
    training,
    version_diff,
)
from service.pages.rendering import HERE


class _Static(StaticFiles):
    """Files of the pages; a browser asks each time whether they changed, so that an update shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def install(app: FastAPI) -> None:
    """Add the pages, their static files and their errors. Call it after `service.errors.install`."""
    # `version_diff` before `datasets`, whose `{name}/{number}` would take its address for a number; so `training`.
    rooms = (
        home,
        teachers,
        batches,
        traces,
        reviewing,
        version_diff,
        datasets,
        recipes,
        training,
        runs,
        licences,
        settings,
        audit,
        reference,
    )
    for room in rooms:
        app.include_router(room.router, dependencies=[Depends(by_method)])
    app.include_router(sign_in.router)  # before there is a key, no scope can be asked for
    app.mount("/static", _Static(directory=HERE / "static"), name="static")
    errors.install(app)
