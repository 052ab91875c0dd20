#!/usr/bin/env bash
# The main job on real servers: PostgreSQL, Redis, nginx and an application, under Abide.  Builds, shows, checks, ends by itself.
# Exit status 0 only if all of it was seen.  tools/demo.py tells the story.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

[ "$(id -u)" = 0 ] || { echo "demo.sh: run as root: each server gets a user of its own" >&2; exit 2; }
./bootstrap.sh demo
cmake --preset release >/dev/null
cmake --build --preset release --target abide abide-manager | tail -n 1
exec /usr/bin/python3 tools/demo.py build/release/bin
