"""Licences: may these be combined?"""

from fastapi import APIRouter

from filters.licences.check import Answer, check
from service.api.shapes.datasets import LicenceIn

router = APIRouter(prefix="/api/licences", tags=["licences"])


@router.post("/check")
def check_licences(body: LicenceIn) -> Answer:
    """Say what may be done with these teachers' answers to these prompts in a student of this base, with the duties."""
    return check(body.teachers, body.prompts, body.base, body.use)
