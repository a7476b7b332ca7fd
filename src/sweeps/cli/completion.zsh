# Completes the command sweeps in zsh: eval "$(sweeps completion zsh)", after compinit

_sweeps() {
    local -a found
    if ((CURRENT == 2)); then
        found=(@described@ '--help:list the commands' '--version:say which version this is')
        _describe command found
        return
    fi
    case $words[2] in
        run)
            # Hydra's own query, which expects a command line without a subcommand.
            local line="sweeps ${(j: :)words[3,CURRENT-1]} $PREFIX"
            found=(${=$(COMP_LINE=$line COMP_POINT=$#line ${~words[1]} run -sc query=bash 2> /dev/null)})
            compadd -S '' -a found || _files
            ;;
        resume | sync)
            ((CURRENT == 3)) || return
            found=(multirun/*/command.yaml(N:h))
            compadd -a found || _files -/
            ;;
        rerun)
            ((CURRENT == 3)) || return
            if [[ $PREFIX == multirun/*/* ]]; then
                found=(multirun/*/*/.hydra(N:h))
                compadd -a found || _files -/
            else
                found=(multirun/*/command.yaml(N:h))
                compadd -S / -a found || _files -/
            fi
            ;;
        completion) ((CURRENT == 3)) && compadd bash zsh ;;
        *) _files ;;
    esac
}

compdef _sweeps sweeps
