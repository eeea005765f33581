"""Signing in: a person gives a key once, and the browser shows it from then on."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from service.access import Throttled, admitted, caller_of
from service.api.deps import SettingsDep
from service.pages.rendering import HEADERS, page
from service.sessions import COOKIE, SESSION_S, opened, sealed
from service.store.keys import token_hash

router = APIRouter(include_in_schema=False)

WRONG = "This key opens nothing: it was mistyped, or an admin revoked it."


@router.get("/sign-in")
def form(request: Request, settings: SettingsDep, to: str = "/") -> Response:
    """Ask for a key, or say that there is no need to."""
    held = caller_of(opened(request, settings) or "", request) if settings.api_key else None
    return page("sign_in.html", needed=settings.api_key is not None, held=held, to=_own(to), wrong="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    settings: SettingsDep,
    key: Annotated[str, Form(max_length=1024)] = "",
    to: Annotated[str, Form(max_length=4096)] = "/",
) -> Response:
    """Set the cookie and go on to where the person wanted to be."""
    token_sha256 = token_hash(key.strip())
    if settings.api_key is None:
        return page("sign_in.html", status=401, needed=False, held=None, to=_own(to), wrong=WRONG)
    try:
        held, wrong, status = admitted(token_sha256, request), WRONG, 401
    except Throttled as error:
        held, wrong, status = None, f"{error.detail}.", error.status
    if held is None:
        return page("sign_in.html", status=status, needed=True, held=None, to=_own(to), wrong=wrong)
    answer = RedirectResponse(_own(to), 303, HEADERS)
    secure = request.url.scheme == "https"
    value = sealed(token_sha256, settings)
    answer.set_cookie(COOKIE, value, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/sign-out")
def sign_out() -> Response:
    """Take the cookie back."""
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def ask_for_key(request: Request) -> Response:
    """Send a browser without a key to the form, and back again afterwards."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?to={quote(wanted, safe='')}", 303, HEADERS)


def _own(to: str) -> str:
    """Return `to` if it is a page of this Retort: nobody is to be sent elsewhere with a link that begins here."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
