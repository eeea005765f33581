"""What routes ask for: the database, the settings and the verifiers' processes of the running app."""

from typing import Annotated

from fastapi import Depends, Query, Request

from filters.verifiers.staff import Staff
from service.errors import Problem
from service.settings import Settings
from service.store.database import Database


def _database(request: Request) -> Database:
    return request.app.state.database


def _settings(request: Request) -> Settings:
    return request.app.state.settings


def _staff(request: Request) -> Staff:
    return request.app.state.staff


DatabaseDep = Annotated[Database, Depends(_database)]
SettingsDep = Annotated[Settings, Depends(_settings)]
StaffDep = Annotated[Staff, Depends(_staff)]


def _limit(settings: SettingsDep, limit: Annotated[int, Query(ge=1)] = 50) -> int:
    if limit > settings.page_rows_max:
        raise Problem(f"limit: at most {settings.page_rows_max} rows a page; follow `next` for more")
    return limit


Limit = Annotated[int, Depends(_limit)]
After = Annotated[int, Query(ge=0, le=2**62)]
