# Completion of abide for bash: commands, options, files, and the services of the instance that is meant.
_abide_services() {
    local -a place=()
    local i
    for ((i = 1; i < ${#COMP_WORDS[@]} - 1; i++)); do
        case ${COMP_WORDS[i]} in
            -C | --runtime) place+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
            --user | --system) place+=("${COMP_WORDS[i]}") ;;
        esac
    done
    abide "${place[@]}" graph --json 2>/dev/null | sed -n 's/.*{"name":"\([^"]*\)".*/\1/p'
}

_abide() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' i
    local commands='up down enable disable status start create stop restart reload kill force-destroy pause unpause logs why check
        plan graph import reload-config add remove where oci upgrade generation state version help events wait emit analyze'
    local globals='-C --user --system --runtime --json --help --version'
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -C | --runtime) ((i++)) ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $previous in
        -C | --runtime) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --signal | -s) mapfile -t COMPREPLY < <(compgen -W 'HUP INT QUIT KILL USR1 USR2 TERM CONT STOP' -- "$current"); return ;;
        --who) mapfile -t COMPREPLY < <(compgen -W 'main all' -- "$current"); return ;;
        --for) mapfile -t COMPREPLY < <(compgen -W 'created started ready healthy stopped completed failed' -- "$current"); return ;;
        --timeout | --since | --type | --service | --lines | -n) return ;;
    esac
    if [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands $globals" -- "$current")
        return
    fi
    local options=$globals
    case $command in
        up) options+=' --detach --init' ;;
        down) options+=' --timeout' ;;
        upgrade) options+=' --to --anchor --probation --no-wait' ;;
        start | create | stop | restart | reload | force-destroy | pause | unpause) options+=' --no-wait --timeout' ;;
        kill) options+=' --signal --who' ;;
        oci) options+=' --event --no-history --timeout' ;;
        logs) options+=' --follow --lines --since' ;;
        graph) options+=' --dot' ;;
        events) options+=' --follow --since --snapshot --type --service' ;;
        wait) options+=' --for --since --timeout' ;;
        emit) options+=' --no-wait' ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    case $command in
        up | enable | disable | status | start | create | stop | restart | reload | kill | force-destroy | pause | unpause | logs | why | remove | wait)
            mapfile -t COMPREPLY < <(compgen -W "$(_abide_services)" -- "$current") ;;
        check | add) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        import)
            if [[ $previous == import ]]; then
                mapfile -t COMPREPLY < <(compgen -W 'systemd procfile supervisord' -- "$current")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
            fi ;;
        analyze) mapfile -t COMPREPLY < <(compgen -W 'blame critical-chain plot' -- "$current") ;;
        help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current") ;;
    esac
}
complete -F _abide abide
