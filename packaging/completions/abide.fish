# Completion of abide for fish: commands, options, files, and the services of the instance that is meant.
set -l commands up down enable disable status start create stop restart reload kill force-destroy pause unpause logs why check plan \
    graph import reload-config add remove where oci upgrade generation state version help events wait emit analyze

function __abide_services
    set -l words (commandline -opc)
    set -l place
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -C --runtime
                set place $place $words[$i] $words[(math $i + 1)]
            case --user --system
                set place $place $words[$i]
        end
    end
    abide $place graph --json 2>/dev/null | string match -rg '\{"name":"([^"]*)"'
end

complete -c abide -f
complete -c abide -s C -x -a '(__fish_complete_directories)' -d 'the project in this folder'
complete -c abide -l user -d 'your own instance'
complete -c abide -l system -d "the system's instance"
complete -c abide -l runtime -x -a '(__fish_complete_directories)' -d 'another runtime folder'
complete -c abide -l json -d 'output for programs'
complete -c abide -l help -d 'show help'

set -l none "not __fish_seen_subcommand_from $commands"
complete -c abide -n $none -a up -d 'start the instance and its services'
complete -c abide -n $none -a down -d 'stop everything and end the instance'
complete -c abide -n $none -a upgrade -d "put another program in the supervisor's place"
complete -c abide -n $none -a generation -d 'which supervisor this is'
complete -c abide -n $none -a state -d 'the whole state'
complete -c abide -n $none -a enable -d 'start services with the instance'
complete -c abide -n $none -a disable -d 'do not start services with the instance'
complete -c abide -n $none -a status -d 'all services, or one'
complete -c abide -n $none -a start -d 'start services and what they need'
complete -c abide -n $none -a stop -d 'stop services'
complete -c abide -n $none -a create -d 'prepare services up to the exec'
complete -c abide -n $none -a oci -d 'the life of a container (oci event ID)'
complete -c abide -n $none -a restart -d 'stop and start services'
complete -c abide -n $none -a reload -d 'let services read their configuration again'
complete -c abide -n $none -a kill -d 'send a signal to a service'
complete -c abide -n $none -a force-destroy -d 'kill now, at any stage'
complete -c abide -n $none -a pause -d 'freeze services'
complete -c abide -n $none -a unpause -d 'let frozen services go on'
complete -c abide -n $none -a logs -d 'what services wrote'
complete -c abide -n $none -a why -d 'why a service is as it is'
complete -c abide -n $none -a check -d 'look for errors in the configuration'
complete -c abide -n $none -a plan -d 'what reload-config would change'
complete -c abide -n $none -a graph -d 'who needs whom'
complete -c abide -n $none -a import -d 'print service files of others as an abide.toml'
complete -c abide -n $none -a reload-config -d 'apply edited files'
complete -c abide -n $none -a add -d 'define services in the running instance'
complete -c abide -n $none -a remove -d 'stop and forget services'
complete -c abide -n $none -a events -d 'what happened, and what happens'
complete -c abide -n $none -a wait -d 'until something is so of a service'
complete -c abide -n $none -a emit -d 'make an event of your own'
complete -c abide -n $none -a analyze -d 'how long the start took, and why'
complete -c abide -n $none -a where -d 'the places of the instance'
complete -c abide -n $none -a version -d 'the version of this program'
complete -c abide -n $none -a help -d 'help of a command'

set -l named up enable disable status start create stop restart reload kill force-destroy pause unpause logs why remove wait
complete -c abide -n "__fish_seen_subcommand_from $named" -a '(__abide_services)'
complete -c abide -n '__fish_seen_subcommand_from check add import' -F
complete -c abide -n '__fish_seen_subcommand_from import; and not __fish_seen_subcommand_from systemd procfile supervisord' -a 'systemd procfile supervisord'
complete -c abide -n '__fish_seen_subcommand_from help' -a "$commands"
complete -c abide -n '__fish_seen_subcommand_from wait' -l for -x -a 'created started ready healthy stopped completed failed'
complete -c abide -n '__fish_seen_subcommand_from wait events' -l since -x
complete -c abide -n '__fish_seen_subcommand_from wait' -l timeout -x
complete -c abide -n '__fish_seen_subcommand_from events' -s f -l follow -d 'go on with what happens'
complete -c abide -n '__fish_seen_subcommand_from events' -l snapshot -d 'first the last event of each service'
complete -c abide -n '__fish_seen_subcommand_from events' -l type -x
complete -c abide -n '__fish_seen_subcommand_from events' -l service -x -a '(__abide_services)'
complete -c abide -n '__fish_seen_subcommand_from analyze' -a 'blame critical-chain plot'
complete -c abide -n '__fish_seen_subcommand_from up' -s d -l detach -d 'return when all have been ready'
complete -c abide -n '__fish_seen_subcommand_from up' -l init -d 'become the init of this container'
complete -c abide -n '__fish_seen_subcommand_from down start create stop restart reload force-destroy pause unpause' -l timeout -x
complete -c abide -n '__fish_seen_subcommand_from start create stop restart reload force-destroy pause unpause' -l no-wait
complete -c abide -n '__fish_seen_subcommand_from kill' -s s -l signal -x -a 'HUP INT QUIT KILL USR1 USR2 TERM CONT STOP'
complete -c abide -n '__fish_seen_subcommand_from kill' -l who -x -a 'main all'
complete -c abide -n '__fish_seen_subcommand_from logs' -s f -l follow
complete -c abide -n '__fish_seen_subcommand_from logs' -s n -l lines -x
complete -c abide -n '__fish_seen_subcommand_from logs' -l since -x
complete -c abide -n '__fish_seen_subcommand_from graph' -l dot
