"""What a student is called: as somebody wishes, or after its base and dataset, and as the licences ask."""

from collections.abc import Iterable
from pathlib import Path

from filters.licences.naming import beginnings, begins, begun
from trainer.config import Training
from trainer.dataset import Folder
from trainer.errors import TrainerError


def student_name(config: Training, folder: Folder, licences: Iterable[str]) -> str:
    """Return the student's name; `licences` are those of its base and of whoever taught it.

    Raises TrainerError `name_prefix` where `name` was given and does not begin as one of them asks.
    """
    licences = list(licences)
    if config.name is None:
        parts = (Path(config.student).name, folder.manifest.dataset, f"v{folder.manifest.version}", config.suffix)
        return begun("-".join(part for part in parts if part), licences)
    for word in beginnings(licences):
        if not begins(config.name, word):
            raise TrainerError(
                "name_prefix",
                f"a licence of its base or teachers asks that the student's name begin with {word!r}, and "
                f"{config.name!r} does not: call it {begun(config.name, licences)!r}, or leave `name` out",
            )
    return config.name
