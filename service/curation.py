"""Ordering a curation: the recipe is checked before anything is judged, and the same order is recognised."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from sqlmodel import Session

from filters.contamination import Contamination
from filters.funnel import Funnel
from filters.judged import Judged as JudgedByTeacher
from filters.licence import LicenceFilter
from filters.recipe import Recipe, RecipeError
from filters.sample import Sample
from filters.stages import Judged, run
from filters.verdict import Outcome
from filters.verifiers.staff import Staff
from service.acts import Act
from service.api.shapes.datasets import ControlIn, PreviewExample, PreviewOut, VersionIn
from service.caller import Caller
from service.errors import Conflict, NotFound, Problem
from service.models import DatasetVersion, VersionState
from service.models.batches import ENDED
from service.settings import Settings
from service.store import audit, batches, benchmarks, datasets, precedents, rescoring, teachers
from service.store import curation as store
from service.store.database import Database


def parse_recipe(data: dict[str, Any]) -> Recipe:
    """Return the recipe, or a Problem that names filter, knob and the nearest valid one."""
    try:
        return Recipe.parse(data)
    except RecipeError as error:
        raise Problem(str(error), [{"field": item.loc, "message": item.message} for item in error.problems]) from error


def pinned(session: Session, recipe: Recipe) -> Recipe:
    """Return the recipe with the SHA-256 of every benchmark it names.

    Raises a Problem for a benchmark that was never added, or a judge that is not registered.
    """
    found = list(recipe.filters)
    for place, filter_ in enumerate(found):
        if isinstance(filter_, Contamination):
            where = f"recipe.filters[{place}] (contamination)"
            names = tuple(benchmarks.pin(session, name, where) for name in filter_.benchmarks)
            found[place] = filter_.model_copy(update={"benchmarks": names})
        elif isinstance(filter_, JudgedByTeacher):
            try:
                teachers.asked(session, filter_.teacher)
            except (NotFound, Conflict) as error:
                where = f"recipe.filters[{place}] (judged)"
                message = f"knob 'teacher': {error.detail}"
                raise Problem(f"{where}: {message}", [{"field": where, "message": message}]) from error
    return recipe.model_copy(update={"filters": tuple(found)})


def order(database: Database, body: VersionIn, caller: Caller) -> tuple[DatasetVersion, bool]:
    """Start a curation, or return the version that the same order gave before; and whether it is new."""
    with database.read() as session:
        recipe = pinned(session, parse_recipe(body.recipe))
    split = body.split.kept()
    if stray := sorted(set(body.split.eval_batches) - set(body.batches)):
        raise Problem(f"split.eval_batches: {stray[0]} is not among the version's batches")
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
            mark = [batch.finished_at, batches.newest_review(session, batch_id)]
            if added := rescoring.progress(session, batch_id)["stored"]:
                mark.append(added)  # labels that came after the answers: the version before them has none
            marks.append(mark)
        digest = hashlib.sha256(orjson.dumps([identity, marks], option=orjson.OPT_SORT_KEYS)).hexdigest()
        version, new = datasets.order(session, body.name, digest, values)
        if new:
            cleared = [
                each for filter_ in recipe.filters if isinstance(filter_, LicenceFilter) for each in filter_.overrides
            ]
            for override in [*overrides, *(each.model_dump() for each in cleared)]:
                audit.record(session, caller, Act.LICENCE_OVERRIDDEN, f"{body.name}@{version.number}", **override)
        return version, new


def control(database: Database, name: str, number: int, body: ControlIn, caller: Caller) -> tuple[DatasetVersion, bool]:
    """Order version `number` again with a random draw of as many samples in the place of one filter.

    The draw comes as late as the filter did, so that those before it change nothing between the two.
    """
    with database.read() as session:
        version = datasets.version(session, name, number)
    if version.state != VersionState.SEALED:
        raise Conflict(f"{name}@{number} is {version.state}: how much a filter keeps is known once it is sealed")
    filters = list(version.recipe["filters"])
    kinds = [filter_["kind"] for filter_ in filters]
    if body.filter not in kinds:
        raise Problem(f"{name}@{number} has no filter '{body.filter}'; it has {', '.join(kinds)}")
    place = kinds.index(body.filter)
    line = [line for line in version.funnel if line["kind"] != store.PERSON][place]
    if not line["rejected"] or not line["kept"]:
        kept = "everything" if line["kept"] else "nothing"
        raise Conflict(f"'{body.filter}' kept {kept} in {name}@{number}: a random draw of as many is the same")
    filters[place] = {"kind": "select", "count": line["kept"], "seed": body.seed}
    values = version.model_dump(include={"batches", "intended_use", "split", "base", "overrides"})
    # Versions of old say nothing, and are split by text.
    values["split"] = {"group": "text"} | values["split"]
    return order(database, VersionIn(name=name, recipe=version.recipe | {"filters": filters}, **values), caller)


EXAMPLES_MAX, PER_REASON_MAX = 50, 5
WINDOWS = 20
"""Places in a batch that a preview looks at: prompts of a kind often lie together, so one stretch would mislead."""


def preview(
    database: Database, settings: Settings, staff: Staff, batch_ids: list[str], recipe: Recipe, sample: int
) -> PreviewOut:
    """Judge about `sample` traces, spread evenly over the batches; near-duplicates look rarer than they are.

    `staff` keeps the verifiers' processes for the next preview.
    """
    with database.read() as session:
        for batch_id in batch_ids:
            batches.get(session, batch_id)
        recipe = pinned(session, recipe).with_files(settings.benchmarks)
        inputs = precedents.inputs_sha256(session, batch_ids)
        # A sample of the traces is another stream, yet a filter that looks at each alone said what it says.
        earlier, reuse = precedents.reusable(session, recipe, inputs, same_stream=False)
        samples = list(_spread(session, batch_ids, sample, earlier))
    funnel, examples = Funnel(recipe), list[PreviewExample]()
    shown = Counter[tuple[str, str]]()
    with staff.lent():
        all_judged = list(run(recipe, samples, reuse))
    for judged in all_judged:
        funnel.add(judged)
        why = judged.verdict
        if judged.outcome == Outcome.REJECT and len(examples) < EXAMPLES_MAX:
            shown[judged.kind, why.reason] += 1
            if shown[judged.kind, why.reason] > PER_REASON_MAX:
                continue  # rare reasons are the ones that nobody knows
            examples.append(
                PreviewExample(trace=judged.sample.id, filter=judged.kind, reason=why.reason, detail=why.detail)
            )
    return PreviewOut(input=funnel.input, kept=funnel.kept, funnel=funnel.counts(), examples=examples)


def _spread(
    session: Session, batch_ids: list[str], sample: int, earlier: DatasetVersion | None
) -> Iterator[Sample | Judged]:
    """Yield about `sample` traces, with what an earlier version made of them; those that people looked at without."""
    spans = store.spans(session, batch_ids)
    share = max(1, sample // (WINDOWS * max(1, len(spans))))
    reviewed = store.reviews(session, batch_ids) if earlier else {}
    for span in spans:
        width = max(1, (span.last - span.first + 1) // WINDOWS)
        for first in range(span.first, span.last + 1, width):
            window = span._replace(first=first, last=min(first + width - 1, span.last))
            stretch = store.stretch(session, window, after=None, limit=share)
            if stretch is None:
                continue
            if earlier is None:
                yield from store.page(session, stretch)
                continue
            for judged in precedents.judged_page(session, earlier.id or 0, stretch):
                yield judged.sample if judged.sample.id in reviewed else judged
