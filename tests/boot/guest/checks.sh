# What must be true of a machine whose process 1 is Abide: `ok NAME` or `FAIL NAME: why` a check, on the console.
exec >/dev/console 2>&1
cd /tmp
alias abide='abide --system'

pid_of() { abide status --json "$1" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
group_of() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")"; }
manager() { for p in /proc/[0-9]*; do [ "$(cat "$p/comm" 2>/dev/null)" = abide-manager ] && echo "${p#/proc/}"; done | head -n 1; }
fail() { echo "FAIL $check: $*"; failed=1; }
same() { [ "$1" = "$2" ] || fail "$3: $1 instead of $2"; }

process_1_is_the_anchor() {
    same "$(cat /proc/1/comm)" abide-anchor "process 1"
    abide generation | grep -q 'problems *nothing' || fail "$(abide generation)"
}

orphans_are_reaped() {
    sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 0.3 & done'
    sleep 1
    for p in /proc/[0-9]*/stat; do
        case $(cat "$p" 2>/dev/null) in *') Z '*) fail "a zombie: $(cat "$p")" ;; esac
    done
}

limits_are_set() {
    group=$(group_of "$(pid_of bounded)")
    same "$(cat "$group/memory.max")" $((24 << 20)) memory.max
    same "$(cat "$group/memory.high")" $((20 << 20)) memory.high
    same "$(cat "$group/pids.max")" 17 pids.max
    same "$(cat "$group/cpu.weight")" 42 cpu.weight
}

out_of_memory_is_told() {
    before=$(pid_of web)
    abide start greedy --no-wait
    abide wait greedy --for failed --timeout 60s >/dev/null || fail "it did not fail: $(abide status greedy)"
    for _ in $(seq 100); do  # that was its first run; the limit lets it have two more
        abide status --json greedy | grep -q '"state":"failed"' && break
        sleep 0.1
    done
    same "$(abide events --type process.exited --service greedy | grep -c 'killed by KILL (out of memory)')" 3 exits
    abide status greedy | grep -q 'out of memory' || fail "$(abide status greedy)"
    abide events --json --type process.exited --service greedy | grep -q '"oom":true' || fail "its exits don't say so"
    same "$(pid_of web)" "$before" "the pid of web"
}

# What became of a child of it before is no cause of a death by hand.
a_kill_is_no_want_of_memory() {
    abide start parent
    abide wait parent --for user.child-gone --since start --timeout 20s >/dev/null || fail "its child still lives"
    same "$(sed -n 's/^oom_kill //p' "$(group_of "$(pid_of parent)")/memory.events")" 1 oom_kill
    abide kill parent --signal KILL
    abide wait parent --for process.exited --since start --timeout 10s | grep -q 'killed by KILL' || fail "its exit was not told"
    abide events --type process.exited --service parent | grep -q 'out of memory' && fail "$(abide status parent)"
}

# Nobody is in the group when the stop is done; the group itself goes when it is quiet.
is_over() {
    grep -qs 'populated 1' "$1/cgroup.events" && fail "somebody is in its control group: $(cat "$1/cgroup.procs")"
    for _ in $(seq 50); do [ -e "$1" ] || return 0; sleep 0.1; done
    fail "its control group is still there"
}

a_limit_of_processes_holds() {
    abide start forking
    group=$(group_of "$(pid_of forking)")
    for _ in $(seq 50); do grep -q 'max [1-9]' "$group/pids.events" && break; sleep 0.1; done
    grep -q 'max [1-9]' "$group/pids.events" || fail "it was refused nothing"
    count=$(cat "$group/pids.current")
    { [ "$count" -ge 8 ] && [ "$count" -le 10 ]; } || fail "it has $count processes"
    abide stop forking || fail "the stop says $?"
    is_over "$group"
}

a_stop_leaves_nobody() {
    abide start stubborn
    sleep 0.5
    group=$(group_of "$(pid_of stubborn)")
    [ "$(wc -l <"$group/cgroup.procs")" -ge 4 ] || fail "it has no children"
    abide stop stubborn || fail "the stop says $?"
    is_over "$group"
}

a_pause_freezes() {
    group=$(group_of "$(pid_of web)")
    abide pause web
    grep -q 'frozen 1' "$group/cgroup.events" || fail "not frozen"
    abide unpause web
    grep -q 'frozen 0' "$group/cgroup.events" || fail "still frozen"
}

the_manager_may_be_killed() {
    web=$(pid_of web) old=$(manager)
    kill -9 "$old"
    same "$(pid_of web)" "$web" "the pid of web"
    [ "$(manager)" != "$old" ] || fail "the manager is the same"
}

the_manager_is_replaced() {
    web=$(pid_of web) old=$(manager)
    abide upgrade --probation 0s || fail "upgrade: status $?"
    same "$(pid_of web)" "$web" "the pid of web"
    [ "$(manager)" != "$old" ] || fail "the manager is the same"
}

process_1_is_replaced() {
    web=$(pid_of web)
    abide upgrade --anchor || fail "upgrade --anchor: status $?"
    abide generation | grep -q 'replaced itself 1 times' || fail "$(abide generation)"
    same "$(cat /proc/1/comm)" abide-anchor "process 1"
    same "$(pid_of web)" "$web" "the pid of web"
    kill -9 "$(pid_of bounded)"
    abide wait bounded --for ready --timeout 10s >/dev/null || fail "it is not back"
}

# Its delay of a second is a second, whatever the date is: three starts take three of them.
the_clock_may_jump() {
    web=$(pid_of web)
    cursor=$(abide events --json | sed -n '$s/.*"id":"\([0-9]*\)".*/\1/p')
    start=$(cut -d. -f1 /proc/uptime)
    abide start slow-return
    now=$(date +%s)
    date -s "@$((now + 400 * 86400))" >/dev/null
    sleep 1
    date -s "@$((now - 4000 * 86400))" >/dev/null
    sleep 3
    date -s "@$now" >/dev/null
    runs=$(abide events --since "$cursor" --type service.started --service slow-return | wc -l)
    took=$(($(cut -d. -f1 /proc/uptime) - start))
    { [ "$runs" -ge 3 ] && [ "$runs" -le $((took + 2)) ]; } || fail "$runs starts in $took s"
    abide stop slow-return
    same "$(pid_of web)" "$web" "the pid of web"
    ids=$(abide events --json --since "$cursor" | sed -n 's/.*"id":"0*\([0-9]*\)".*/\1/p')
    same "$(echo "$ids" | sort -n)" "$ids" "the order of events"
}

echo "machine: Linux $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
for check in process_1_is_the_anchor orphans_are_reaped limits_are_set out_of_memory_is_told a_kill_is_no_want_of_memory \
             a_limit_of_processes_holds a_stop_leaves_nobody a_pause_freezes the_manager_may_be_killed \
             the_manager_is_replaced process_1_is_replaced the_clock_may_jump; do
    failed=0
    $check
    [ $failed = 1 ] || echo "ok $check"
done
kill -TERM 1  # and run.py sees how it ends
sleep 60
