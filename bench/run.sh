#!/usr/bin/env bash
# Measures Abide beside a bare loop, s6, runit and supervisor.  One command, ends by itself.
#   bench/run.sh                     the supervisor: start restart memory idle chain status scale init
#   bench/run.sh events monitor …    only these sections; also gap, stall, journal, events and monitor, which are asked for by name
# With ABIDE_BENCH_ALONE=1 without s6, runit and supervisor, which take most of the time of start and restart.
# Runs in a pid namespace of its own, so that nothing can be left behind.  bench/bench.py does the work.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ "$(id -u)" = 0 ] || { echo "bench/run.sh: run as root (a pid namespace of its own)" >&2; exit 2; }
if [ -z "${ABIDE_BIN:-}" ]; then
    ./bootstrap.sh bench
    cmake --preset release >/dev/null
    cmake --build --preset release --target abide abide-manager abide-bench abide-bench-tiny abide-bench-lines abide-bench-journal abide-bench-events \
        abide-bench-monitor abide-mortal | tail -n 1
    ABIDE_BIN=build/release/bin
fi
ulimit -n "$(ulimit -H -n)"
exec timeout --kill-after=10 "${ABIDE_BENCH_SECONDS:-240}" \
    unshare --pid --fork --kill-child --mount-proc /usr/bin/python3 bench/bench.py "$ABIDE_BIN" "$@"
