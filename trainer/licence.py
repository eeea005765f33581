"""Whether a model that teaches during a training may do so: what the export's licence answer could not know of."""

from typing import Any

from filters.licences.check import Override, check
from trainer.base import Base
from trainer.dataset import Folder
from trainer.errors import TrainerError


def may_teach(teacher: Base, stated: str | None, student: Base, folder: Folder, knob: str) -> dict[str, Any]:
    """Return the fields `teachers` and `duties` of `training.json` for a model that may teach the student.

    Its licence is the one stated, else that of the version's teacher with this model, else what its own card says.
    Raises TrainerError `licence_blocked` where it forbids the version's intended use, or nobody knows it; `knob` is
    the setting to state it with.
    """
    entries = folder.manifest.teachers
    known = next((entry.license for entry in entries if teacher.name == entry.model), None) or teacher.license
    licence = stated or known or ""
    overrides = [Override.model_validate(override) for override in folder.manifest.licence.overrides]
    use = folder.manifest.licence.intended_use
    answer = check([licence], [], student.license, use, overrides=overrides)
    # What the student's own base allows is asked of every method, when its dataset is curated.
    clause = next(clause for clause in answer.clauses if clause.role == "teacher")
    if clause.decision not in ("allowed", "allowed_with_duties"):
        raise TrainerError(
            "licence_blocked",
            f"{teacher.name} may not teach for {use} use: {clause if licence else 'nobody says what its licence is'}. "
            f"State its licence in `{knob}`, override it with a reason when curating, or choose another model",
        )
    entry = {"name": teacher.name, "model": teacher.name, "license": licence, "revision": teacher.commit}
    return {"teachers": [entry], "duties": clause.duties}
