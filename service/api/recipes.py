"""Recipes: which filters there are, and what a recipe would keep."""

from typing import Any

from fastapi import APIRouter

from filters.recipe import FILTERS
from service.api.deps import DatabaseDep, SettingsDep, StaffDep
from service.api.shapes.datasets import PreviewIn, PreviewOut
from service.curation import parse_recipe, preview

router = APIRouter(prefix="/api/recipes", tags=["recipes"])


@router.get("/filters")
def filters() -> dict[str, Any]:
    """Return the JSON schema of every filter's knobs, by kind."""
    return {kind: found.model_json_schema() for kind, found in FILTERS.items()}


@router.post("/preview", response_model=PreviewOut)
def preview_recipe(body: PreviewIn, database: DatabaseDep, settings: SettingsDep, staff: StaffDep) -> PreviewOut:
    """Judge a sample of the batches' traces by a recipe: the funnel before the commitment. Nothing is stored."""
    return preview(database, settings, staff, body.batches, parse_recipe(body.recipe), body.sample)
