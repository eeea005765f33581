"""Which column of a file becomes which field of a prompt: `map=question:prompt`, and what happens to the others."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import Problem, nearest

REST = "*"
"""Stands for every column that is neither named in the map nor called like a field."""
META = "meta"
"""The field that takes in what has no other place: `level:meta.level`, or `*:meta` for all of it."""
PARTS_MAX = 200
"""Entries of one map."""


class ColumnsClash(ValueError):
    """Two columns of a row would fill the same field."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A map from a file's columns to fields; the empty place drops a column."""

    fields: Collection[str]
    """What a row may hold in the end."""
    places: Mapping[str, str]
    needed: Collection[str] = ()
    """A table without any column for one of these fields is refused as a whole."""
    optional: Collection[str] = ()
    """Columns of `places` that a file may lack."""
    rest: str | None = None
    """Where other columns go: `meta`, nowhere (the empty text), or None when they are a mistake."""

    def place(self, name: str) -> str:
        """Return the field that a column fills, `meta.NAME`, or the empty text for a column that is dropped."""
        found = self.places.get(name)
        if found is not None:
            return found
        if name in self.fields or self.rest is None:
            return name
        return f"{META}.{name}" if self.rest else ""

    def row(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return a row's values under their fields; raises ColumnsClash."""
        if not self.places and self.rest is None:
            return data
        row: dict[str, Any] = {}
        noted: dict[str, Any] = {}
        for name, value in data.items():
            place = self.place(name)
            if place.startswith(f"{META}."):
                noted[place[len(META) + 1 :]] = value
            elif place in row:
                raise ColumnsClash(f"'{self.source(place, data)}' and '{name}' would both be the {place}")
            elif place:
                row[place] = value
        if noted:
            given = row.get(META)
            row[META] = (given if isinstance(given, dict) else {}) | noted
        return row

    def source(self, field: str, names: Iterable[str]) -> str:
        """Return which of a row's columns fills a field, for a refusal that speaks the file's own words."""
        return next((name for name in names if self.place(name) == field), field)

    def wanted(self, header: Sequence[str]) -> list[str]:
        """Return the columns of a table that are read. Raises a Problem for those that nobody could mean."""
        faults = [*self._absent(header), *self._unknown(header), *self._clashes(header)]
        if faults:
            found = [{"field": name, "message": message, "code": "unknown_column"} for name, message in faults]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise Problem(f"column '{faults[0][0]}': {faults[0][1]}{more}; nothing of the batch was stored", found)
        return [name for name in header if self.place(name)]

    def _absent(self, header: Sequence[str]) -> Iterable[tuple[str, str]]:
        for name in self.places:
            if name not in header and name not in self.optional:
                yield name, f"the file has no such column{nearest(name, header)}"

    def _unknown(self, header: Sequence[str]) -> Iterable[tuple[str, str]]:
        advice = f"say what it is with map=COLUMN:FIELD, keep it with map={REST}:{META}, or drop it with map={REST}:"
        for name in header:
            place = self.place(name)
            if place and place not in self.fields and not place.startswith(f"{META}."):
                yield name, f"unknown column{nearest(name, self.fields)}; {advice}"

    def _clashes(self, header: Sequence[str]) -> Iterable[tuple[str, str]]:
        seen: dict[str, str] = {}
        for name in header:
            place = self.place(name)
            if place and (first := seen.setdefault(place, name)) is not name:
                yield name, f"it would be the {place}, and so would '{first}'; drop one with map={first}:"
        if self.needed and not seen.keys() & set(self.needed):
            field = next(iter(self.needed))
            yield header[0], f"neither it nor another one is the {field}; say which with map=COLUMN:{field}"


def parse(entries: Iterable[str], fields: Collection[str], needed: Collection[str] = ()) -> Columns:
    """Return the map of `COLUMN:FIELD` entries; raises a Problem with the entry that cannot be meant."""
    places: dict[str, str] = {}
    rest = None
    for count, entry in enumerate(entries):
        name, colon, place = entry.rpartition(":")
        if not colon or count == PARTS_MAX:
            wrong = f"at most {PARTS_MAX} entries" if colon else f"expected COLUMN:FIELD, found '{entry}'"
            raise Problem(f"map: {wrong}")
        if name == REST:
            if place not in {"", META}:
                raise Problem(f"map: all other columns can go to {META} or nowhere, not to '{place}'")
            rest = place
            continue
        if place and place not in fields and not (place.startswith(f"{META}.") and len(place) > len(META) + 1):
            raise Problem(f"map: '{entry}': no field is called '{place}'{nearest(place, fields)}")
        if places.setdefault(name, place) != place:
            raise Problem(f"map: column '{name}' stands for both '{places[name]}' and '{place}'")
    return Columns(fields, places, needed, rest=rest)
