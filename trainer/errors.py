"""How a run ends early: refused for a reason that its user can mend, or interrupted and ready to go on."""


class TrainerError(Exception):
    """A run that cannot go on as asked. `reason` is a stable snake_case code; the message tells a person what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Interrupted(Exception):
    """Somebody asked the run to stop. Started again with the same folder, it goes on where it was."""
