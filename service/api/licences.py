"""Licences: may these be combined?"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from filters.licences import check
from service.api.shapes import LicenceIn

router = APIRouter(prefix="/api/licences", tags=["licences"])


@router.post("/check")
def check_licences(body: LicenceIn) -> dict[str, Any]:
    """Say what may be done with teachers' answers to these prompts in a student of this base, and which duties follow."""
    return asdict(check(body.teachers, body.prompts, body.base, body.use))
