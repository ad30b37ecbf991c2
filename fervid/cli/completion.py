"""`fervid completion`: print the completion script of a shell."""

import click

from fervid.cli.shared.options import command
from fervid.cli.shared.output import show


@command(
    "completion",
    examples="""
    fervid completion bash > ~/.local/share/bash-completion/completions/fervid
    eval "$(fervid completion bash)"    # or only for this session
    fervid completion zsh > ~/.zfunc/_fervid
    fervid completion fish > ~/.config/fish/completions/fervid.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL, for commands, options, files and names.

    It needs bash 4.4, zsh 5 or fish 3.4.
    """
    from fervid.cli.shared.completing import script

    show(script(shell, ctx.find_root().command).rstrip())
