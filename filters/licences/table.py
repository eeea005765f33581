"""The table of licences, and finding a row by any usual spelling of its name."""

import re
import tomllib
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["teacher", "prompts", "base"]

_NOISE = re.compile(r"\b(?:the|licen[cs]e|agreement|community|meta|version|of|international|unported)\b|\bv(?=\d)")


class Row(BaseModel):
    """One licence of `table.toml`, where the fields are explained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    names: tuple[str, ...] = ()
    kind: Literal["software", "content", "model", "service", "own"]
    outputs_may_train: Literal["yes", "no", "conditions", "unknown"]
    condition: Literal["same_family", "not_competing", ""] = ""
    family: str = ""
    family_also: tuple[str, ...] = ()
    commercial: Literal["yes", "no", "conditions", "unknown"]
    as_prompts: Literal["yes", "no", "unknown"] | None = None
    as_base: Literal["yes", "no", "unknown"] = "yes"
    name_begins: str = ""
    clause: str
    prompts_clause: str = ""
    base_clause: str = ""
    duties: tuple[str, ...] = ()
    teacher_duties: tuple[str, ...] = ()
    prompts_duties: tuple[str, ...] = ()
    base_duties: tuple[str, ...] = ()
    source: str
    evidence: Literal["text", "vendor", "secondary", "unchecked"]
    read: date
    note: str = ""

    def permission(self, role: Role) -> str:
        """Return whether the role is permitted: yes, no, conditions or unknown.

        A model's or service's licence on prompts means that it wrote them: the rule for its outputs holds.
        """
        if role == "base":
            return self.as_base
        if role == "prompts" and self.as_prompts is not None:
            return self.as_prompts
        if role == "prompts" and self.kind not in ("model", "service"):
            return "yes"
        return self.outputs_may_train

    def clause_for(self, role: Role) -> str:
        """Return what decides in this role."""
        own = {"teacher": "", "prompts": self.prompts_clause, "base": self.base_clause}[role]
        return own or self.clause

    def duties_for(self, role: Role) -> tuple[str, ...]:
        """Return what to do when the licence stands in this role."""
        return (
            self.duties
            + {"teacher": self.teacher_duties, "prompts": self.prompts_duties, "base": self.base_duties}[role]
        )


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Return all rows of the table."""
    with Path(__file__).with_name("table.toml").open("rb") as file:
        return tuple(Row.model_validate(row) for row in tomllib.load(file)["licence"])


def key(name: str) -> str:
    """Return what is left of a licence's name when spelling does not count: "Apache License, v2.0" is "apache2.0"."""
    return re.sub(r"[^a-z0-9.+]+", "", _NOISE.sub(" ", name.casefold())).strip(".")


def find(name: str) -> Row | None:
    """Find the row that a name, tag or SPDX identifier stands for."""
    return _by_key().get(key(name)) if name.strip() else None


@lru_cache(maxsize=1)
def _by_key() -> dict[str, Row]:
    named = [(key(name), row) for row in rows() for name in (row.id, *row.names)]
    clashes = {name for name, row in named if any(other != row for spelt, other in named if spelt == name)}
    if clashes or not all(name for name, _ in named):
        raise ValueError(f"table.toml gives {sorted(clashes) or 'an empty name'} to several licences")
    return dict(named)
