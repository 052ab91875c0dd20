#!/usr/bin/env python3
"""Boots a machine whose process 1 is Abide: Debian's kernel under qemu, pure version 2 control groups with all controllers.

usage: tests/boot/run.py [--build DIR] [--show]

The kernel is an older one than most machines have (6.1), the machine's clock may be set, and its memory may be used up, so
this is where those things are tested.  guest/ holds its process 1's script, its configuration, and the checks, which run in
it and say `ok NAME` or `FAIL NAME: why` on its console.  What this machine can't run is told and not counted as passed.
Ends with `N passed, N failed`, and `, N skipped` if any.
"""
import argparse
import pathlib
import re
import shutil
import stat
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build/release"
PROGRAMS = ("abide", "abide-manager", "abide-hold")
FOLDERS = ("bin", "dev", "etc", "etc/abide", "proc", "run", "sys", "tmp", "var", "var/log")
QEMU = "qemu-system-x86_64"
BOOT_SECONDS = 150


class CannotRun(Exception):
    """What is missing on this machine."""


class Archive:
    """A root file system in the form that the kernel unpacks (cpio, "newc"): Documentation/driver-api/early-userspace."""

    def __init__(self):
        self.data, self.count = bytearray(), 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.count += 1
        path = name.encode() + b"\0"
        numbers = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        for part in (b"070701" + b"".join(b"%08x" % number for number in numbers) + path, content):
            self.data += part + b"\0" * (-(len(self.data) + len(part)) % 4)

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, source, mode=0o755):
        self.add(name, stat.S_IFREG | mode, pathlib.Path(source).read_bytes())

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def root_of(programs, busybox):
    archive = Archive()
    for name in FOLDERS:
        archive.folder(name)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("etc/passwd", stat.S_IFREG | 0o644, b"root:x:0:0::/:/bin/sh\n")
    archive.add("etc/group", stat.S_IFREG | 0o644, b"root:x:0:\n")
    archive.file("bin/busybox", busybox)
    for name in subprocess.check_output([busybox, "--list"], text=True).split():
        if name != "busybox":
            archive.link(f"bin/{name}", "busybox")
    for name in PROGRAMS:
        archive.file(f"bin/{name}", programs / name)
    archive.file("init", HERE / "guest/init")
    archive.file("checks.sh", HERE / "guest/checks.sh", 0o644)
    archive.file("etc/abide/abide.toml", HERE / "guest/abide.toml", 0o644)
    return archive.bytes()


def kernel_in(folder):
    """Debian's kernel for virtual machines, out of its package; neither installed nor built."""
    kernels = sorted(folder.glob("boot/vmlinuz-*"))
    if kernels:
        return kernels[-1]
    folder.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True)
    package = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    if not package:
        raise CannotRun("apt knows no linux-image-cloud-amd64")
    got = subprocess.run(["apt-get", "-q", "download", package[1]], cwd=folder, capture_output=True, text=True)
    archives = list(folder.glob("linux-image-*.deb"))
    if got.returncode or not archives:
        raise CannotRun(f"apt-get download {package[1]}: {got.stderr.strip()[-200:]}")
    subprocess.run(["dpkg-deb", "-x", archives[0], folder], check=True)
    archives[0].unlink()
    shutil.rmtree(folder / "lib", ignore_errors=True)  # modules: nothing here needs one
    return kernel_in(folder)


def boot(kernel, root):
    """What its console has shown when it was over."""
    command = [QEMU, "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "tcg", "-smp", "2", "-m", "512",
               "-kernel", str(kernel), "-initrd", str(root), "-append", "console=ttyS0 panic=-1 quiet",
               "-serial", "stdio", "-display", "none", "-no-reboot"]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=BOOT_SECONDS, check=False).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace") + f"\nFAIL boot: more than {BOOT_SECONDS} s\n"


def judge(console):
    """(passed, complaints).  Process 1 ends when all is stopped, which a kernel calls a panic and shows the status of."""
    lines = [line.strip() for line in console.splitlines()]
    wanted = set(re.search(r"for check in (.*?); do", (HERE / "guest/checks.sh").read_text(), re.S)[1]
                 .replace("\\", "").split()) | {"stopped_in_order"}
    passed = {line[3:] for line in lines if line.startswith("ok ")} & wanted
    failed = [line for line in lines if line.startswith("FAIL ")]
    told = {line.split()[1].rstrip(":") for line in failed}
    failed += [f"FAIL {name}: nothing was heard of it" for name in sorted(wanted - passed - told)]
    if "Attempted to kill init! exitcode=0x00000000" in console:
        passed.add("process_1_ends_with_status_0")
    else:
        failed.append("FAIL process_1_ends_with_status_0")
    return len(passed - told), failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=BUILD)
    parser.add_argument("--show", action="store_true", help="print the console also when all is well")
    options = parser.parse_args()
    folder = options.build.resolve() / "boot"
    try:
        for program in (QEMU, "busybox"):
            if not shutil.which(program):
                raise CannotRun(f"{program} is missing; ./bootstrap.sh boot installs it")
        kernel = kernel_in(folder)
        root = folder / "root.cpio"
        root.write_bytes(root_of(options.build.resolve() / "bin", shutil.which("busybox")))
    except CannotRun as missing:
        print(f"skipped boot: {missing}\n0 passed, 0 failed, 1 skipped")
        return 0
    console = boot(kernel, root)
    passed, failed = judge(console)
    if failed or options.show:
        print(console)
    print(*[line for line in console.splitlines() if line.startswith("machine: ")], *failed, sep="\n")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
