"""Completion in bash, zsh and fish: the completions of a word, and the scripts for the shells."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_FERVID_COMPLETE"

# Each line of the answer is KIND<tab>VALUE<tab>HELP. For the kind `file`, the shell completes file names.
# The shell adds no space after a value that ends in : or /, since it is not complete.
BASH = """\
_fervid_completion() {
    local kind value help IFS=$'\\n'
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value help; do
        if [[ $kind == file ]]; then
            COMPREPLY=()
            compopt -o default
            return
        fi
        COMPREPLY+=("$value")
        [[ $value == *[:/] ]] && compopt -o nospace
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _fervid_completion %(prog_name)s
"""

ZSH = """\
#compdef %(prog_name)s
_fervid_completion() {
    local kind value help
    local -a whole open
    while IFS=$'\\t' read -r kind value help; do
        if [[ $kind == file ]]; then
            _files
            return
        fi
        if [[ $value == *[:/] ]]; then
            open+=("$value")
        else
            whole+=("${value//:/\\\\:}:$help")
        fi
    done < <(env COMP_WORDS="${(pj:\\n:)words}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete ${words[1]} 2>/dev/null)
    (( $#open )) && compadd -S '' -a open
    (( $#whole )) && _describe -V %(prog_name)s whole
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _fervid_completion "$@"
else
    compdef _fervid_completion %(prog_name)s
fi
"""

FISH = """\
function _fervid_completion
    set -l words (commandline -opc)
    set -l word (commandline -ct | string collect -a)
    env COMP_WORDS=(string escape -- $words | string collect) COMP_CWORD="$word" \\
        %(complete_var)s=fish_complete $words[1] 2>/dev/null | while read -l -d \\t kind value help
        if test "$kind" = file
            __fish_complete_path "$word"
        else
            printf '%%s\\t%%s\\n' $value $help
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(_fervid_completion)"
"""


def emotions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete emotions, also after a comma."""
    from fervid.labels import EMOTIONS

    before, comma, word = incomplete.rpartition(",")
    return _matching((before + comma + label for label in EMOTIONS), before + comma + word)


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the names of installed models."""
    from fervid.model import installed

    return _matching(installed(), incomplete)


def detectors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the names of face detectors."""
    from fervid.faces.detectors import detectors as known

    return _matching(known(), incomplete)


def datasets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete NAME:PATH: the name of a layout, then the path."""
    from fervid.datasets import names

    name, colon, path = incomplete.partition(":")
    if not colon:
        return _matching((f"{name}:" for name in names()), incomplete)
    folder, part = os.path.split(path)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            known = sorted(
                entry.name + "/" * entry.is_dir()
                for entry in entries
                if entry.name.startswith(part) and (part or not entry.name.startswith("."))
            )
    except OSError:
        return []
    return _matching((f"{name}:{os.path.join(folder, entry)}" for entry in known), incomplete)


def _matching(values: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(value) for value in values if value.startswith(incomplete)]


class _Complete(ShellComplete):
    """The common part of the three shells: values without a list of completions are files."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return the completions of a word; for files, one item that leaves the word to the shell."""
        completions = super().get_completions(args, incomplete)
        if completions or incomplete.startswith("-"):
            return completions
        return [CompletionItem(incomplete, type="file")]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line of the answer."""
        return f"{item.type}\t{item.value}\t{' '.join((item.help or '').split())}"


class Bash(_Complete, BashComplete):
    """Completion in bash, which splits words at = and :, so they are joined again."""

    source_template = BASH
    _cut = ""  # the part of the value before the cursor's word, which bash keeps

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the word at the cursor."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in [*args, incomplete]:
            if words and (word[:1] == ":" or words[-1][-1:] == ":"):
                words[-1] += word
            elif word != "=":
                words.append(word)
        *args, whole = words or [""]
        self._cut = whole[: len(whole) - len(incomplete.lstrip(":"))] if ":" in whole else ""
        return args, whole

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line of the answer, without the part that bash keeps."""
        value = str(item.value).removeprefix(self._cut)
        return super().format_completion(CompletionItem(value, type=item.type, help=item.help))


class Zsh(_Complete, ZshComplete):
    """Completion in zsh."""

    source_template = ZSH


class Fish(_Complete, FishComplete):
    """Completion in fish: its script sends the word at the cursor apart from the words before it."""

    source_template = FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the word at the cursor."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        return words[1:], "".join(split_arg_string(os.environ["COMP_CWORD"]))


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Use these classes for the shells instead of click's."""
    for shell in SHELLS.values():
        add_completion_class(shell)


def script(shell: str, program: click.Command) -> str:
    """Return the completion script of a shell."""
    return SHELLS[shell](program, {}, "fervid", VARIABLE).source()
