"""`retort completion`: what a shell needs to complete verbs and options."""

import os
from typing import Annotated, Literal

import typer


def completion(
    ctx: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Yours.")],
) -> None:
    """Print what completes `retort` in a shell; `retort --install-completion` puts it where yours looks.

    \b
    bash   eval "$(retort completion bash)"                         in ~/.bashrc
    zsh    eval "$(retort completion zsh)"                          in ~/.zshrc, after compinit
    fish   retort completion fish > ~/.config/fish/completions/retort.fish
    """
    # The protocol by which shells ask for completions gives the script, too.
    os.environ["_RETORT_COMPLETE"] = f"source_{shell}"
    ctx.find_root().command.main(args=[], prog_name="retort")
