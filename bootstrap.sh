#!/usr/bin/env bash
# Installs with apt-get what the build and the tests need; quiet when all of it is present.  May be run again at any time.
#   ./bootstrap.sh          the build and the tests
#   ./bootstrap.sh demo     also the real servers of ./demo.sh
#   ./bootstrap.sh bench    also the supervisors that bench/run.sh measures beside Abide
#   ./bootstrap.sh oci      also the container runtimes and a static busybox, for the tests of containers, and conmon for
#                           bench/containers.py
#   ./bootstrap.sh boot     also qemu, for the test that boots a machine (the kernel's image it fetches by itself)
#   ./bootstrap.sh lint     also Clang 19 (format, tidy, libFuzzer)
set -euo pipefail

build=(cmake ninja-build g++ ccache binutils libfmt-dev libtomlplusplus-dev libboost1.81-dev libboost-json1.81-dev
       libcli11-dev libgtest-dev libbenchmark-dev libcap-dev zlib1g-dev python3 util-linux procps libfuse3-dev
       tini dumb-init libuv1-dev pkg-config)
demo=(postgresql nginx redis-server python3-psycopg2 curl wrk)
bench=(s6 runit supervisor systemd)
oci=(crun runc busybox-static conmon)
boot=(qemu-system-x86 busybox-static)
lint=(clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev)

wanted=("${build[@]}")
for group in "$@"; do
    case $group in
        demo) wanted+=("${demo[@]}") ;;
        bench) wanted+=("${bench[@]}") ;;
        oci) wanted+=("${oci[@]}") ;;
        boot) wanted+=("${boot[@]}") ;;
        lint) wanted+=("${lint[@]}") ;;
        *) echo "usage: bootstrap.sh [demo] [bench] [oci] [boot] [lint]" >&2; exit 2 ;;
    esac
done

missing=()
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
            sed -n 's/^installed //p' || true)
for package in "${wanted[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
        { echo "bootstrap: missing ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi

# Debian starts a server as soon as it is installed.  We want the program, not the server: a policy-rc.d that says no keeps
# invoke-rc.d from starting anything while we install.  One that is there already is left as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
fi

echo "bootstrap: installing ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    echo "bootstrap: apt-get failed (above)" >&2
    exit 1
fi
rm -f "$log"
