#!/usr/bin/env bash
# PostgreSQL, redis and nginx under load while their manager is killed each second.
#   bench/servers.sh [SECONDS]       60 when nothing is said; ends by itself.  bench/servers.py does the work.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ "$(id -u)" = 0 ] || { echo "bench/servers.sh: run as root (a pid namespace of its own)" >&2; exit 2; }
if [ -z "${ABIDE_BIN:-}" ]; then
    ./bootstrap.sh demo
    cmake --preset release >/dev/null
    cmake --build --preset release --target abide abide-manager | tail -n 1
    ABIDE_BIN=build/release/bin
fi
seconds=${1:-60}
exec timeout --kill-after=10 $((seconds + 120)) \
    unshare --pid --fork --kill-child --mount-proc /usr/bin/python3 bench/servers.py "$ABIDE_BIN" "$seconds"
