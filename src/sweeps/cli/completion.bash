# Completes the command sweeps in bash: eval "$(sweeps completion bash)"

_sweeps_completion() {
    local line=${COMP_LINE:0:COMP_POINT}
    local -a words
    read -r -a words <<< "$line"
    local typed=
    [[ $line == *[[:space:]] ]] || typed=${words[${#words[@]} - 1]}
    local before=$((${#words[@]} - (${#typed} > 0)))
    local candidates=
    COMPREPLY=()
    if ((before == 1)); then
        candidates="@commands@ --help --version"
    else
        case ${words[1]} in
            run)
                # Hydra's own query, which expects a command line without a subcommand.
                local rest=${line#*[[:space:]]run}
                rest="sweeps ${rest##[[:space:]]}"
                candidates=$(COMP_LINE=$rest COMP_POINT=${#rest} "${words[0]/#\~/$HOME}" run -sc query=bash 2> /dev/null)
                compopt -o nospace 2> /dev/null
                ;;
            resume | sync | rerun)
                ((before == 2)) || return
                [[ $typed == multirun/* || multirun/ == "$typed"* ]] || typed=multirun/$typed  # the name alone
                if [[ ${words[1]} == rerun && $typed == multirun/*/* ]]; then
                    candidates=$(_sweeps_holders "${typed%/*}"/*/.hydra)
                elif [[ ${words[1]} == rerun ]]; then
                    candidates=$(_sweeps_holders multirun/*/command.yaml | sed 's:$:/:')
                    compopt -o nospace 2> /dev/null
                else
                    candidates=$(_sweeps_holders multirun/*/command.yaml)
                fi
                ;;
            completion) ((before > 2)) || candidates="bash zsh" ;;
        esac
    fi
    local candidate
    for candidate in $candidates; do
        [[ $candidate == "$typed"* ]] && COMPREPLY+=("$candidate")
    done
    # Where = and the like end a word of bash's, it replaces what follows the last of them alone.
    local breaks=${COMP_WORDBREAKS//[[:space:]\"\'\\]/}
    if [[ -n $breaks && $typed == *["$breaks"]* ]]; then
        local kept=${typed%"${typed##*["$breaks"]}"}
        COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    fi
}

# The folders of files that there are.
_sweeps_holders() {
    local file
    for file in "$@"; do
        [[ -e $file ]] && printf '%s\n' "${file%/*}"
    done
}

complete -o default -F _sweeps_completion sweeps
