"""Deciding about traces on their pages: a form that a keyboard fills (`static/keys.js`), and going on to the next."""

from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from service.access import CallerDep
from service.api.deps import DatabaseDep
from service.api.shapes.traces import ReviewIn
from service.caller import ANYBODY, BOOTSTRAP, Caller
from service.errors import Problem
from service.pages.rendering import HEADERS
from service.pages.words import link
from service.reviewing import note
from service.store import traces
from service.store.traces import TraceFilter, said
from service.views import traces_out

router = APIRouter(prefix="/traces", include_in_schema=False)

AUTHOR = "retort_author"
AUTHOR_S = 365 * 86_400
"""A name is given once a year; it opens nothing."""


class Decision(BaseModel):
    """The form: everything in it is sent, and `do` says which of it counts."""

    do: Literal["keep", "reject", "edit", "tag", "undo"]
    author: str = Field(max_length=256)
    reason: str = ""
    tags: str = ""
    response: str = ""
    last: int | None = None
    """The review that `undo` takes back."""
    search: str = Field(default="", max_length=4096)
    """Among which traces the person is reading: the query of the list."""

    def review(self) -> ReviewIn:
        """Return what is said as the API takes it. Problem names what is missing."""
        told: dict[str, Any] = {"author": self.author.strip()}
        if self.do == "undo" and self.last is None:
            raise Problem("nothing was said of this trace yet, so there is nothing to take back")
        if self.do == "undo":
            told["withdraws"] = self.last
        else:
            told["tags"] = self.tags.replace(",", " ").split()
        if self.do in ("keep", "reject", "edit"):
            told |= {"outcome": "reject" if self.do == "reject" else "keep", "reason": self.reason.strip()}
        if self.do == "edit":
            # A browser ends the lines of a form with CR LF.
            told["response"] = self.response.replace("\r\n", "\n")
        try:
            return ReviewIn.model_validate(told)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            raise Problem("; ".join(wrong)) from error


@router.post("/{trace_id}/review")
def review(trace_id: int, form: Annotated[Decision, Form()], database: DatabaseDep, caller: CallerDep) -> Response:
    """Note what the person says, and show the trace again."""
    note(database, caller, trace_id, form.review())
    # As it was sent, but for what could end the address: no other page is reached with it.
    search = quote(form.search.lstrip("?"), safe="=&%+")
    answer = RedirectResponse(f"/traces/{trace_id}{'?' if search else ''}{search}#decide", 303, HEADERS)
    answer.set_cookie(AUTHOR, quote(form.author.strip()), max_age=AUTHOR_S, httponly=True, samesite="strict")
    return answer


@router.get("/{trace_id}/{way}")
def beside(
    trace_id: int, way: Literal["next", "previous"], database: DatabaseDep, asked: Annotated[TraceFilter, Depends()]
) -> Response:
    """Go on to the trace that follows among those looked for, or back; at the end, to the list."""
    wanted = said(asked)
    edge: dict[str, int] = {"after": trace_id} if way == "next" else {"before": trace_id}
    with database.read() as session:
        found = traces_out(session, traces.page(session, wanted, **edge, limit=1))
    path = f"/traces/{found[0].id}" if found else "/traces"
    return RedirectResponse(link(path, **wanted.asked()), 303, HEADERS)


def author(request: Request, caller: Caller) -> str:
    """Return the name the person gave last in this browser, else that of the key; empty where neither says one."""
    named = unquote(request.cookies.get(AUTHOR, ""))
    return named or ("" if caller.name in (ANYBODY, BOOTSTRAP) else caller.name)
