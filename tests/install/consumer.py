#!/usr/bin/env python3
"""Installs libabide into a folder of its own and uses it from outside: by find_package and by pkg-config, static and shared.

    tests/install/consumer.py BUILD [CXX]

Ends with `N passed, N failed`.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
EXAMPLE = SOURCE / "examples/monitor/docker_sample.cc"
LINE = ('{"specversion":"1.0","id":"%020d","source":"/abide/shop","type":"abide.process.exited","subject":"web",'
        '"time":"2026-11-21T09:00:00.000000000Z","data":{"run":%d}}\n')


def run(*command, **environment):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=170,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def follow(program, work, **environment):
    folder = work / "events"
    folder.mkdir(exist_ok=True)
    (folder / "00000000000000000001.jsonl").write_text("".join(LINE % (n, n) for n in range(1, 4)))
    text = run(program, folder, 1, 0, **environment)
    assert text.count("web abide.process.exited") == 2 and "next time from 00000000000000000003@/abide/shop" in text, text


def events_by_cmake(prefix, work, compiler):
    run("cmake", "-S", SOURCE / "examples/events", "-B", work / "events-cmake", "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={compiler}")
    run("cmake", "--build", work / "events-cmake")
    follow(work / "events-cmake/example-follow", work)


def events_by_pkg_config(prefix, work, compiler):
    (pc,) = prefix.rglob("abide.pc")
    flags = run("pkg-config", "--cflags", "--libs", "abide", PKG_CONFIG_PATH=str(pc.parent)).split()
    run(compiler, "-std=c++23", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", SOURCE / "examples/events/follow.cc",
        "-o", work / "follow", *flags)
    follow(work / "follow", work, LD_LIBRARY_PATH=str(pc.parent.parent))


def by_cmake(prefix, work, compiler):
    run("cmake", "-S", SOURCE / "examples/monitor", "-B", work / "cmake", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={compiler}")
    run("cmake", "--build", work / "cmake", "--target", "example-docker_sample")
    return run(work / "cmake/example-docker_sample")


def by_pkg_config(prefix, work, compiler, static):
    (pc,) = prefix.rglob("abide.pc")
    flags = run("pkg-config", "--cflags", "--libs", "abide", PKG_CONFIG_PATH=str(pc.parent)).split()
    library = pc.parent.parent
    if static:
        flags = [str(library / "libabide.a") if f == "-labide" else f for f in flags]
    program = work / ("static" if static else "shared")
    # A user's own warnings must not find anything in our headers.
    run(compiler, "-std=c++20", "-fno-exceptions", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror",
        "-Wno-missing-field-initializers", EXAMPLE, "-o", program, *flags)
    return run(program, LD_LIBRARY_PATH=str(library))


def nothing_but_ours(prefix):
    """The shared library shows the public namespace only, and asks for nothing but the usual libraries."""
    (library,) = [p for p in prefix.rglob("libabide.so.*") if not p.is_symlink()]
    shown = run("nm", "-DC", "--defined-only", library).splitlines()
    wrong = [line for line in shown if not re.match(r"\S+ \w abide::(?!kernel|detail::core)", line)]
    if wrong or len(shown) < 50:
        raise RuntimeError("visible, but not public: " + "\n".join(wrong[:5] or shown[:5]))
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", library))
    if set(needed) - {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}:
        raise RuntimeError(f"needs {needed}")
    return "\n".join(needed)


def main():
    build, compiler = Path(sys.argv[1]), (sys.argv[2:] or ["c++"])[0]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prefix = work / "prefix"
        run("cmake", "--install", build, "--prefix", prefix, "--component", "library")
        for name, check in (("find_package", lambda: by_cmake(prefix, work, compiler)),
                            ("pkg-config, shared", lambda: by_pkg_config(prefix, work, compiler, False)),
                            ("pkg-config, static", lambda: by_pkg_config(prefix, work, compiler, True)),
                            ("events: cmake package", lambda: events_by_cmake(prefix, work, compiler)),
                            ("events: flags of the shared library", lambda: events_by_pkg_config(prefix, work, compiler)),
                            ("symbols", lambda: nothing_but_ours(prefix))):
            try:
                text = check()
                if "find" in name or "pkg" in name:
                    assert "web/2: SIGTERM" in text and "flaky: gave up" in text, text
                passed += 1
                print(f"{name}: good")
            except (RuntimeError, AssertionError, subprocess.TimeoutExpired, ValueError) as problem:
                failed += 1
                print(f"{name}: {problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
