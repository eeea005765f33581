"""The OpenAI-compatible door: what the stock `openai` SDK speaks, over the same batches and traces as the native one.

    client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="…")

The `model` of a request is the name of a teacher. A new resource is a file here and its router in `install`.
"""

from fastapi import Depends, FastAPI

from service.access import by_method


def install(app: FastAPI) -> None:
    """Add the routes and their errors. Call it after `service.errors.install`; `upstream.client` runs with the app."""
    # Not at the top: importing traces needs this door's words, and its routes need imports.
    from service.openai import batches, chat, completions, errors, files, fine_tuning, models

    for room in (files, batches, chat, completions, models, fine_tuning):
        app.include_router(room.router, prefix="/v1", dependencies=[Depends(by_method)])
    errors.install(app)
