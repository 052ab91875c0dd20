#!/usr/bin/env bash
# Builds and passes all tests.
#   ./test.sh                 everything: tidy, unit tests (with the corpus of the fuzz targets), simulator, system tests
#   ./test.sh fast            a subset in two minutes (after the first build): tidy, unit tests, a short simulation
#   ./test.sh asan|tsan       unit tests and a simulation under a sanitizer; with asan, system tests too
#   ./test.sh fuzz [SECONDS]  every fuzz target for so long (600), with Clang and sanitizers
# The last line is `N passed, N failed`; the exit status is 0 only when nothing failed.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")" || exit 1

mode=${1:-full}
case $mode in
    full | fast) preset=release ;;
    asan | tsan | fuzz) preset=$mode ;;
    *) echo "usage: test.sh [fast|asan|tsan|fuzz]" >&2; exit 2 ;;
esac
build=build/$preset
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0

# step NAME COMMAND...: runs it, and counts from its own closing line `N passed, N failed`; without one, from its status.
step() {
    local name=$1 start=$SECONDS status line good=0 bad=0
    shift
    printf '\n== %s\n' "$name"
    "$@" >"$results/log" 2>&1 </dev/null
    status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$results/log" | tail -n 1)
    if [ -n "$line" ]; then
        good=${line%% *} bad=${line#*, } bad=${bad%% *}
        [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    elif [ $status -eq 0 ]; then
        good=1
    else
        bad=1
    fi
    if [ "$bad" -gt 0 ]; then
        tail -n "${ABIDE_TEST_LINES:-400}" "$results/log"
        { echo "$name"; grep -E '^FAIL ' "$results/log" | head -n 20; } >>"$results/failed"
    fi
    grep -E '^ *skipped ' "$results/log"
    printf '%s: %d passed, %d failed%s (%d s)\n' "$name" "$good" "$bad" "${line#*failed}" $((SECONDS - start))
    passed=$((passed + good)) failed=$((failed + bad))
    [ "$bad" -eq 0 ]
}

no_report() {
    ! cat "$results"/report* 2>/dev/null | grep .
}

finish() {
    [ ! -e "$results/failed" ] || { printf '\n== what failed\n'; cut -c 1-400 "$results/failed"; }
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

groups=()
case $mode in
    full) groups=(oci boot) ;;
    fuzz) groups=(lint) ;;  # Clang is only for this: the same targets replay their corpus with GCC among the unit tests
esac
step bootstrap ./bootstrap.sh "${groups[@]}" || finish
step configure cmake --preset "$preset" || finish
step build cmake --build --preset "$preset" || finish
if [ "$mode" = fuzz ]; then
    step fuzz tools/fuzz.py build/fuzz --seconds "${2:-600}"
    finish
fi
if [ "$preset" = release ]; then
    step 'tidy of tidy' tools/tidy_test.py
    step tidy tools/tidy.py --build "$build"
fi
step 'unit tests' tools/unit.py "$build"
if [ "$mode" = full ]; then  # the unit tests have a short simulation among them
    step simulator "$build/bin/abide-sim" --seeds 10000000 --seconds "${ABIDE_SIM_SECONDS:-40}"
fi
if [ "$mode" = full ]; then  # pages that are made from the core, and journals of all that a life passes through
    step 'docs/states.md' tools/page.py docs/states.md "$build/bin/abide-sim" --states
    step 'docs/matrix.md' tools/page.py docs/matrix.md "$build/bin/abide-sim" --matrix
    step 'golden journals' "$build/bin/abide-golden" tests/fixtures/journal --every-situation
fi
if [ "$mode" = full ] && [ -f tests/system/run.py ]; then
    step 'system tests' python3 tests/system/run.py --build "$build"
    step 'boot' python3 tests/boot/run.py --build "$build"
fi
if [ "$mode" = asan ]; then  # a report ends a manager, and the next one serves on: so it is looked for, whatever the tests say
    export ASAN_OPTIONS=detect_leaks=0:log_path=$results/report UBSAN_OPTIONS=print_stacktrace=1:log_path=$results/report
    export ABIDE_FILE_SECONDS=300
    # Not those that ask how much memory is taken, or give little of it.
    step 'system tests' python3 tests/system/run.py --build "$build" create events kernel_says life places ready sockets state story words
    step 'no report of a sanitizer' no_report
fi
finish
