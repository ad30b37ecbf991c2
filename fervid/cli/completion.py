"""`fervid completion`: print the completion script of a shell."""

import click
from click.shell_completion import get_completion_class

from fervid.cli.shared.options import command
from fervid.cli.shared.output import show


@command(
    "completion",
    examples="""
    fervid completion bash > ~/.local/share/bash-completion/completions/fervid
    fervid completion zsh > ~/.zfunc/_fervid
    fervid completion fish > ~/.config/fish/completions/fervid.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL, for fervid's commands and options."""
    script = get_completion_class(shell)
    assert script is not None  # click has these three
    show(script(ctx.find_root().command, {}, "fervid", "_FERVID_COMPLETE").source())
