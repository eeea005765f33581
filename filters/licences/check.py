"""May these teachers' outputs, on these prompts, train this student, for this use? Not legal advice."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from filters.licences import naming
from filters.licences.table import Role, Row, find, key
from filters.manifest import Licence

if TYPE_CHECKING:
    from license_expression import Licensing

Use = Literal["research", "commercial"]
Decision = Literal["allowed", "allowed_with_duties", "unknown", "forbidden"]

_SEVERITY: dict[Decision, int] = {"allowed": 0, "allowed_with_duties": 1, "unknown": 2, "forbidden": 3}


class Override(BaseModel):
    """A person's decision that a licence is no obstacle: an agreement of their own, or text read by a lawyer."""

    licence: str
    reason: str
    author: str


class Clause(BaseModel):
    """What one licence says in one role."""

    licence: str
    """As the table names it, or as it was given where the table has no row."""
    role: Role
    decision: Decision
    clause: str
    source: str = ""
    evidence: str = ""
    """How the row is known: text, vendor, secondary or unchecked."""
    read: str = ""
    duties: list[str] = []
    """What the licence asks in this role, should the use be allowed."""

    def __str__(self) -> str:
        known = f" ({self.source}, {self.evidence}, read {self.read})" if self.source else ""
        return f"{self.role} {self.licence}: {self.decision}: {self.clause}{known}"


class Answer(BaseModel):
    """What may be done, on which conditions, and why; the clause that decides stands first."""

    decision: Decision
    duties: list[str]
    clauses: list[Clause]

    def for_manifest(self, use: Use, overrides: Iterable[Override] = ()) -> Licence:
        """Return the answer as the manifest keeps it."""
        return Licence(
            decision=self.decision,
            intended_use=use,
            duties=self.duties,
            clauses=[str(clause) for clause in self.clauses],
            overrides=[override.model_dump() for override in overrides],
        )


def check(
    teachers: Iterable[str],
    prompts: Iterable[str],
    base: str | None,
    use: Use,
    *,
    student_name: str | None = None,
    overrides: Sequence[Override] = (),
) -> Answer:
    """Check each licence in its role and put the answers together: the severest decision, the union of duties.

    Licences are SPDX identifiers or expressions, Hugging Face tags or free spellings; an empty one is unknown. `base`
    is the licence of the weights the student starts from: None for a student trained from scratch.
    """
    judge = _Judge(base, use, student_name, {key(override.licence): override for override in overrides})
    clauses = [judge.named("teacher", name) for name in dict.fromkeys(teachers)]
    clauses += [judge.named("prompts", name) for name in dict.fromkeys(prompts)]
    clauses += [judge.named("base", base)] if base is not None else []
    clauses.sort(key=lambda clause: -_SEVERITY[clause.decision])
    duties = list(dict.fromkeys(duty for clause in clauses for duty in clause.duties))
    return Answer(decision=clauses[0].decision if clauses else "unknown", duties=duties, clauses=clauses)


class _Judge:
    """Judges one licence in one role, knowing the base, the use and the overrides."""

    def __init__(self, base: str | None, use: Use, student_name: str | None, overrides: dict[str, Override]):
        self._base = find(base) if base is not None else None
        self._base_unreadable = base is not None and self._base is None
        self._use = use
        self._student_name = student_name
        self._overrides = overrides

    def named(self, role: Role, name: str) -> Clause:
        """Judge a licence by its name or expression. An override lifts what blocks; the licence's duties stay."""
        clause = self._named(role, name)
        override = self._overrides.get(key(name)) or self._overrides.get(key(clause.licence))
        if override is None or clause.decision not in ("unknown", "forbidden"):
            return clause
        decision = "allowed_with_duties" if clause.duties else "allowed"
        text = f"overridden by {override.author}: {override.reason} (without it {clause.decision}: {clause.clause})"
        return clause.model_copy(update={"decision": decision, "clause": text})

    def _named(self, role: Role, name: str) -> Clause:
        row = find(name)
        if row is not None:
            return self._of_row(role, row)
        if not name.strip():
            return _unknown(role, name)
        from license_expression import ExpressionError

        try:
            return self._of_expression(role, name, _spdx().parse(name))
        except (ExpressionError, ValueError):
            return _unknown(role, name)

    def _of_expression(self, role: Role, name: str, part: Any) -> Clause:
        """Judge a parsed expression: of licences joined by OR we choose the kindest; those joined by AND all hold."""
        if not getattr(part, "args", ()):
            # An exception (WITH) only adds permissions.
            symbol = getattr(part, "license_symbol", part)
            return self.named(role, symbol.key) if symbol.key != name else _unknown(role, name)
        clauses = [self._of_expression(role, name, arg) for arg in part.args]
        clauses.sort(key=lambda clause: _SEVERITY[clause.decision])
        if part.operator.strip() == "OR":
            return clauses[0].model_copy(update={"licence": f"{clauses[0].licence} (chosen from {name})"})
        duties = list(dict.fromkeys(duty for clause in clauses for duty in clause.duties))
        return clauses[-1].model_copy(update={"licence": f"{clauses[-1].licence} (in {name})", "duties": duties})

    def _of_row(self, role: Role, row: Row) -> Clause:
        decision, clause = self._permitted(role, row)
        duties = list(row.duties_for(role))
        if row.name_begins and role != "prompts":
            duties.insert(0, self._naming_duty(row.name_begins))
        if decision == "allowed" and row.commercial == "no":
            if self._use == "commercial":
                decision = "forbidden"
            else:
                duties.append(f"keep the dataset and the student to non-commercial research ({row.id})")
        elif decision == "allowed" and row.commercial == "unknown" and self._use == "commercial":
            decision, clause = "unknown", f"{clause}; its rule on commercial use is not known"
        if decision == "allowed" and duties:
            decision = "allowed_with_duties"
        return Clause(
            licence=row.id,
            role=role,
            decision=decision,
            clause=clause,
            source=row.source,
            evidence=row.evidence,
            read=row.read.isoformat(),
            duties=duties,
        )

    def _permitted(self, role: Role, row: Row) -> tuple[Decision, str]:
        clause, permission = row.clause_for(role), row.permission(role)
        if permission == "yes":
            return "allowed", clause
        if permission == "no":
            return "forbidden", clause
        if permission == "unknown":
            return "unknown", f"{clause}; read the licence, then record an override with what it says"
        if row.condition == "not_competing":
            question = "does your student compete with the provider? If not, record an override that says why"
            return "unknown", f"{clause}: {question}"
        return self._within_family(row, clause)

    def _within_family(self, row: Row, clause: str) -> tuple[Decision, str]:
        if self._base is not None and self._base.family == row.family:
            return "allowed", clause
        if self._base_unreadable or (self._base is not None and self._base.id in row.family_also):
            return "unknown", f"{clause}: is the base one of the {row.family} family? If so, record an override"
        return "forbidden", clause

    def _naming_duty(self, begins: str) -> str:
        duty = f'begin the name of a distributed student with "{begins}"'
        if self._student_name is None:
            return duty
        met = naming.begins(self._student_name, begins)
        return (
            f"{duty} ({self._student_name!r} does)" if met else f"{duty} ({self._student_name!r} does not: rename it)"
        )


@lru_cache(maxsize=1)
def _spdx() -> "Licensing":
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _unknown(role: Role, name: str) -> Clause:
    if not name.strip():
        what = "no licence is stated: state one, or record an override with your reason"
    else:
        what = "the table has no such licence: read its text, then record an override with your reason"
    return Clause(licence=name.strip() or "(none stated)", role=role, decision="unknown", clause=what)
