"""`retort report RUN --propose FILE`: prompts to ask next, from where a student lacks most."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.terminal import Refused, Terminal
from service.cli.words import one_line

if TYPE_CHECKING:
    from service.api.shapes.proposals import Proposal


def write_proposal(terminal: Terminal, run: str, target: Path, prompts: int) -> None:
    """Write the prompts to a file that has its name once it is whole, and tell what is in it."""
    if target.exists():
        raise Refused(f"{target} is there already: name another file, or remove it")
    proposal = terminal.client.proposal(run, prompts=prompts)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with partial.open("wb") as file:
            terminal.client.proposed(run, file, prompts=prompts)
        os.replace(partial, target)
    except OSError as error:
        raise Refused(f"cannot write {target}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    terminal.show(proposal, lambda terminal: view_proposal(terminal, proposal, target))


def view_proposal(terminal: Terminal, proposal: "Proposal", target: Path) -> None:
    """Print the gaps, what was drawn for each, and what is to be done next."""
    terminal.table(
        ("~category", "#judged", "#student", "#teacher", "#wanted", "#drawn", "#to write"),
        [
            (
                one_line(share.category, 40),
                f"{share.judged:,}",
                f"{100 * share.student:.1f} %",
                "-" if share.teacher is None else f"{100 * share.teacher:.1f} %",
                f"{share.wanted:,}",
                f"{share.drawn:,}",
                f"{share.new:,}",
            )
            for share in proposal.categories
        ],
        title=f"{proposal.prompts:,} prompts by the gap of {proposal.run}, on {proposal.dataset}@{proposal.version}",
    )
    if any(share.teacher is None for share in proposal.categories):
        terminal.say("No teacher answered the prompts of a category with -: its gap is what is missing to all right.")
    if proposal.new:
        terminal.say(
            f"{proposal.new:,} prompts have to be written: the dataset has no more in their categories that were not "
            "always answered right."
        )
    if proposal.held_out:
        terminal.say(f"{proposal.held_out:,} prompts were passed over: they measure a student.")
    if proposal.drawn:
        terminal.say(
            f"{target} has {proposal.drawn:,} prompts: retort submit {target} --teacher NAME -n 8 --temperature 1"
        )
    else:
        terminal.say(f"{target} is empty.")
