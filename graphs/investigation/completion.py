"""Shell completion without a dependency: a script made from the words the command line knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHELLS = ("bash", "zsh", "fish")

_BASH = """_ringtrace_rings() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" at=1
    [[ "${{COMP_WORDS[1]}}" == rings ]] || {{ COMPREPLY=($(compgen -W "rings" -- "$word")); return; }}
    local command=""
    for ((at = 2; at < COMP_CWORD; at++)); do
        case "${{COMP_WORDS[at]}}" in
            -w|--workspace|--as) ((at++)) ;;
            -*) ;;
            *) command="${{COMP_WORDS[at]}}"; break ;;
        esac
    done
    case "$command" in
        "") COMPREPLY=($(compgen -W "{commands} --workspace --as --json --help" -- "$word")) ;;
{cases}
    esac
}}
complete -o default -F _ringtrace_rings {program}
"""


def completion(shell: str, program: str, words: Mapping[str, Sequence[str]]) -> str:
    """The script for `shell`; `words` are the commands of `program` ("ringtrace rings"), each with its options.

    bash: `eval "$(ringtrace rings completion bash)"`; fish: `ringtrace rings completion fish | source`.
    """
    name = program.split()[0]
    if shell == "fish":
        lines = [
            f"complete -c {name} -n '__fish_seen_subcommand_from rings; and not __fish_seen_subcommand_from "
            f"{' '.join(words)}' -f -a '{' '.join(words)}'"
        ]
        for command, options in words.items():
            for option in options:
                what = f"-l {option[2:]}" if option.startswith("--") else f"-a {option}"
                lines.append(f"complete -c {name} -n '__fish_seen_subcommand_from {command}' {what}")
        return "\n".join(lines) + "\n"
    cases = "\n".join(
        f'        {command}) COMPREPLY=($(compgen -W "{" ".join(options)}" -- "$word")) ;;'
        for command, options in words.items()
    )
    script = _BASH.format(commands=" ".join(words), cases=cases, program=name)
    return script if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}"
