"""The recipe editor: filters in order, every knob with its reason, and the funnel of a sample while one edits.

The whole state is in the form, and so in the address: a page can be kept, sent on, and gone back from. It is edited
without JavaScript too; with it, the funnel follows every change.
"""

import time
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from filters.recipe import FILTERS
from filters.verifiers.staff import Staff
from service import curation
from service.access import CallerDep, may
from service.api.deps import DatabaseDep, SettingsDep, StaffDep
from service.api.shapes.datasets import PreviewExample, PreviewOut, VersionIn
from service.caller import Caller
from service.errors import Problem, TooLarge
from service.models.batches import ENDED
from service.pages import forms
from service.pages.draft import SAMPLES, Draft, read
from service.pages.knobs import purpose
from service.pages.rendering import HEADERS, page
from service.scopes import Scope
from service.settings import Settings
from service.store import batches, benchmarks, datasets, facets
from service.store.database import Database
from service.views import batch_out

router = APIRouter(prefix="/recipes", include_in_schema=False)

BATCHES_SHOWN = 25
VERSIONS_SHOWN = 8
FIELDS_MAX, FORM_BYTES_MAX = 5000, 2**20


async def _form(request: Request) -> FormData:
    if int(request.headers.get("content-length", FORM_BYTES_MAX + 1)) > FORM_BYTES_MAX:
        raise TooLarge(f"a form has at most {FORM_BYTES_MAX:,} bytes; the API takes longer recipes")
    return await request.form(max_fields=FIELDS_MAX)


Sent = Annotated[FormData, Depends(_form)]


@router.get("")
def editor(request: Request, database: DatabaseDep, caller: CallerDep, version: str = "") -> Response:
    """Show the editor; `version` (NAME@N) begins with the recipe and the batches of a dataset version."""
    draft = read(request.query_params)
    if version:
        with database.read() as session:
            found = datasets.named(session, version)
        text = orjson.dumps(found.recipe).decode()
        draft = read(FormData([("text", text), ("name", found.dataset), ("use", found.intended_use)]))
        draft.batches = list(found.batches)
    draft.recipe()
    return _shown(database, caller, draft)


@router.post("")
def judged(sent: Sent, database: DatabaseDep, settings: SettingsDep, staff: StaffDep, caller: CallerDep) -> Response:
    """Show the editor with the funnel of a sample: what a browser without JavaScript asks for."""
    draft = read(sent)
    return _shown(database, caller, draft, **_funnel(database, settings, staff, draft))


@router.post("/funnel")
def funnel(sent: Sent, database: DatabaseDep, settings: SettingsDep, staff: StaffDep) -> Response:
    """Show the funnel alone."""
    draft = read(sent)
    return page("recipe_funnel.html", draft=draft, **_funnel(database, settings, staff, draft))


@router.get("/recipe.json")
def download(request: Request) -> Response:
    """Return the recipe as the file that `retort curate --recipe` reads."""
    text = orjson.dumps(read(request.query_params).data, option=orjson.OPT_INDENT_2)
    headers = HEADERS | {"Content-Disposition": 'attachment; filename="recipe.json"'}
    return Response(text + b"\n", headers=headers, media_type="application/json")


@router.post("/curate")
def curate(sent: Sent, database: DatabaseDep, caller: CallerDep) -> Response:
    """Start a version, and go to its page; or show the editor again with what is in the way."""
    draft = read(sent)
    if draft.recipe() is not None:
        try:
            version, _ = curation.order(database, _order(draft), caller)
            return RedirectResponse(f"/datasets/{version.dataset}/{version.number}", 303, HEADERS)
        except Problem as error:
            draft.note(error)
    return _shown(database, caller, draft, status=422)


def _order(draft: Draft) -> VersionIn:
    """Return the order that the form describes. Raises a Problem that names its fields."""
    given = draft.order
    values: dict[str, Any] = {"name": given["name"], "batches": draft.batches, "recipe": draft.data}
    values |= {"base": given["base"] or None} | ({"intended_use": given["use"]} if given["use"] else {})
    values["split"] = {part: given[part] for part in ("eval", "test") if given[part]}
    return forms.read(VersionIn, values)


def _funnel(database: Database, settings: Settings, staff: Staff, draft: Draft) -> dict[str, Any]:
    """Judge a sample; without batches or with a recipe that cannot stand there is nothing to judge."""
    recipe = draft.recipe()
    if recipe is None or not draft.batches:
        return {"found": None}
    began = time.perf_counter()
    try:
        found = curation.preview(database, settings, staff, draft.batches, recipe, draft.sample)
    except (Problem, ValueError) as error:
        draft.note(error if isinstance(error, Problem) else Problem(str(error)))
        return {"found": None}
    return {"found": found, "took_s": time.perf_counter() - began, "examples": _examples(found)}


def _examples(found: PreviewOut) -> dict[tuple[str, str], list[PreviewExample]]:
    grouped: dict[tuple[str, str], list[PreviewExample]] = {}
    for example in found.examples:
        grouped.setdefault((example.filter, example.reason), []).append(example)
    return grouped


def _shown(database: Database, caller: Caller, draft: Draft, *, status: int = 200, **values: Any) -> Response:
    with database.read() as session:
        newest = [batch_out(session, batch) for batch in batches.page(session, after=None, limit=BATCHES_SHOWN)]
        others = [name for name in draft.batches if name not in {batch.id for batch in newest}]
        versions = facets.versions(session, limit=VERSIONS_SHOWN)
        known = [benchmark.name for benchmark in benchmarks.every(session)]
    answered = [batch for batch in newest if batch.counts.stored]
    if not draft.batches and answered:
        whole = [batch for batch in answered if batch.state in ENDED]  # only those can be curated
        draft.batches = [(whole or answered)[0].id]
    return page(
        "recipes.html",
        status=status,
        **{"found": None} | values,
        draft=draft,
        cards=draft.cards(),
        newest=answered,
        others=others,
        versions=versions,
        benchmarks=known,
        kinds=[(kind, purpose(kind)) for kind in sorted(FILTERS)],
        samples=SAMPLES,
        submits=may(caller, Scope.SUBMIT),
    )
