"""A recipe in the making: what the editor's form says, what is wrong with it, and where."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from filters.recipe import FILTERS, Recipe
from service.curation import parse_recipe
from service.errors import Problem
from service.pages.knobs import Knob, from_form, knobs, purpose

FILTERS_MAX = 40
BATCHES_MAX = 100
SAMPLES = (100, 200, 500, 1000, 2000)
START: list[dict[str, Any]] = [
    {"kind": "licence"},
    {"kind": "length"},
    {"kind": "repetition"},
    {"kind": "verified"},
    {"kind": "near_duplicate", "on": "prompt"},
]
"""What the editor begins with: cheap filters first."""
_FIELD = re.compile(r"f(\d{1,3})\.(\w{1,64})")
_PLACE = re.compile(r"recipe\.filters\[(\d+)\]")
_KNOB = re.compile(r"knob '(\w+)")


class Form(Protocol):
    """A query or a body: several values may have one name."""

    def getlist(self, key: str) -> Sequence[Any]: ...
    def multi_items(self) -> Sequence[tuple[str, Any]]: ...


class Wrong(NamedTuple):
    """One thing wrong with the draft: at a knob, at a filter, or (`place` is None) with all of it."""

    place: int | None
    knob: str
    message: str


class Field(NamedTuple):
    """A knob with what its field holds, and whether that is another value than the filter has by itself."""

    knob: Knob
    texts: list[str]
    changed: bool
    wrong: list[str]


class Card(NamedTuple):
    """One filter of the draft as the page shows it."""

    place: int
    kind: str
    purpose: str
    fields: list[Field]
    knobs: dict[str, Any]
    wrong: list[str]

    @property
    def is_wrong(self) -> bool:
        """Whether it or a knob of it cannot stand so."""
        return bool(self.wrong) or any(field.wrong for field in self.fields)


@dataclass(slots=True)
class Draft:
    """Filters with the knobs that are set, and the other fields of the form."""

    filters: list[dict[str, Any]]
    on_abstain: str = "keep"
    batches: list[str] = field(default_factory=list)
    sample: int = 200
    order: dict[str, str] = field(default_factory=dict)
    """What the part of the form that orders a curation holds: name, use, base, eval, test."""
    text: str = ""
    """The text that was given instead of fields; empty where it could be read."""
    wrong: list[Wrong] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """The recipe as JSON values, right or wrong."""
        return {"filters": self.filters, "on_abstain": self.on_abstain}

    def recipe(self) -> Recipe | None:
        """Return the recipe; None, with the reasons in `wrong`, where it cannot stand so."""
        if self.wrong:
            return None
        try:
            return parse_recipe(self.data)
        except Problem as error:
            self.note(error)
            return None

    def note(self, error: Problem) -> None:
        """Keep what an error says at the knob that it names."""
        for said in error.errors or [{"message": error.detail}]:
            place, knob = _PLACE.search(str(said.get("field", ""))), _KNOB.search(said["message"])
            at = int(place[1]) if place else None
            message = (
                said["message"] if at is not None or "field" not in said else f"{said['field']}: {said['message']}"
            )
            self.wrong.append(Wrong(at, knob[1] if knob and place else "", message))

    def cards(self) -> list[Card]:
        """Return the filters as the page shows them."""
        return [self._card(place, chosen) for place, chosen in enumerate(self.filters)]

    def _card(self, place: int, chosen: dict[str, Any]) -> Card:
        mine = [wrong for wrong in self.wrong if wrong.place == place]
        fields = []
        for knob in knobs(chosen["kind"]):
            texts = knob.shown(chosen.get(knob.name, knob.default))
            wrong = [each.message for each in mine if each.knob == knob.name]
            fields.append(Field(knob, texts, knob.name in chosen, wrong))
        names = {field.knob.name for field in fields}
        others = [each.message for each in mine if each.knob not in names]
        held = {name: value for name, value in chosen.items() if name != "kind"}
        return Card(place, chosen["kind"], purpose(chosen["kind"]), fields, held, others)


def read(form: Form) -> Draft:
    """Return what a form holds; the recipe to begin with where it holds none."""
    draft = Draft(
        filters=_filters(form),
        on_abstain="reject" if _last(form, "on_abstain") == "reject" else "keep",
        batches=list(dict.fromkeys(map(str, form.getlist("batch"))))[:BATCHES_MAX],
        order={name: _last(form, name) for name in ("name", "use", "base", "eval", "test")},
    )
    sample = _last(form, "sample")
    draft.sample = int(sample) if sample in map(str, SAMPLES) else draft.sample
    if text := _last(form, "text"):
        _take_text(draft, text)
    elif not draft.filters and not _last(form, "begun"):
        draft.filters = [dict(each) for each in START]
    _do(draft, _last(form, "do"), _last(form, "new"))
    return draft


def _filters(form: Form) -> list[dict[str, Any]]:
    fields: dict[int, dict[str, list[str]]] = {}
    for name, value in form.multi_items():
        found = _FIELD.fullmatch(name)
        if found and isinstance(value, str):
            fields.setdefault(int(found[1]), {}).setdefault(found[2], []).append(value)
    kinds = [(texts.get("kind", [""])[0], texts) for _, texts in sorted(fields.items())]
    return [from_form(kind, texts) for kind, texts in kinds if kind in FILTERS][:FILTERS_MAX]


def _take_text(draft: Draft, text: str) -> None:
    """Put the recipe of a JSON text in the draft's place; what cannot be read stays there as text."""
    try:
        data = json.loads(text)
    except ValueError as error:
        draft.text, draft.wrong = text, [Wrong(None, "", f"this is no JSON: {error}")]
        return
    try:
        parse_recipe(data)
    except Problem as error:
        draft.text = text
        draft.note(error)
    chosen = data.get("filters") if isinstance(data, dict) else None
    if isinstance(chosen, list) and all(isinstance(each, dict) and each.get("kind") in FILTERS for each in chosen):
        draft.filters = [_changed(each) for each in chosen[:FILTERS_MAX]]
        draft.on_abstain = "reject" if data.get("on_abstain") == "reject" else "keep"


def _changed(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter without the knobs that are as they would be by themselves."""
    default = {knob.name: knob.default for knob in knobs(chosen["kind"])}
    return {name: value for name, value in chosen.items() if name not in default or value != default[name]}


def _do(draft: Draft, act: str, new: str) -> None:
    """Add, move or remove a filter, as the button that sent the form says."""
    what, _, at = act.partition(".")
    filters = draft.filters
    if what == "add" and new in FILTERS and len(filters) < FILTERS_MAX:
        filters.append({"kind": new})
    place = int(at) if at.isdecimal() else len(filters)
    if place >= len(filters):
        return
    if what == "remove":
        filters.pop(place)
    elif what == "up" and place > 0:
        filters.insert(place - 1, filters.pop(place))
    elif what == "down":
        filters.insert(place + 1, filters.pop(place))


def _last(form: Form, name: str) -> str:
    values = form.getlist(name)
    return values[-1].strip() if values and isinstance(values[-1], str) else ""
