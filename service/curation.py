"""Ordering a curation: the recipe is checked before anything is judged, and the same order is recognised."""

import hashlib
from typing import Any

import orjson

from filters.recipe import Recipe, RecipeError
from service.api.shapes import VersionIn
from service.errors import Conflict, Problem
from service.models import DatasetVersion
from service.models.batches import ENDED
from service.store import batches, datasets
from service.store.database import Database


def parse_recipe(data: dict[str, Any]) -> Recipe:
    """Return the recipe, or a Problem that names filter, knob and the nearest valid one."""
    try:
        return Recipe.parse(data)
    except RecipeError as error:
        raise Problem(str(error), [{"field": item["loc"], "message": item["message"]} for item in error.problems]) from error


def order(database: Database, body: VersionIn) -> tuple[DatasetVersion, bool]:
    """Start a curation, or return the version that the same order gave before; and whether it is new."""
    recipe = parse_recipe(body.recipe)
    split = body.split.model_dump()
    overrides = [override.model_dump() for override in body.overrides]
    identity = [recipe.digest(), body.batches, split, body.intended_use, body.base, overrides]
    values: dict[str, Any] = {
        "batches": body.batches,
        "recipe": recipe.model_dump(mode="json"),
        "intended_use": body.intended_use,
        "split": split,
        "base": body.base,
        "overrides": overrides,
    }
    with database.write() as session:
        marks = []
        for batch_id in body.batches:
            batch = batches.get(session, batch_id)
            if batch.state not in ENDED:
                raise Conflict(f"batch {batch_id} is {batch.state}; wait until it has ended, or cancel it")
            marks.append([batch.finished_at, batches.newest_review(session, batch_id)])
        digest = hashlib.sha256(orjson.dumps([identity, marks], option=orjson.OPT_SORT_KEYS)).hexdigest()
        return datasets.order(session, body.name, digest, values)
