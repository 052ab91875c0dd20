"""A machine of its own for a test: Debian's kernel under qemu, an initial file system made here, Abide as process 1.

What this machine's kernel has no controllers for is tried there: one control group hierarchy, version 2, with all of them.
"""
import gzip
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

BUSYBOX = "/usr/bin/busybox"
CACHE = pathlib.Path(os.environ.get("ABIDE_BOOT_CACHE", "/var/cache/abide-boot"))
PACKAGE = "linux-image-cloud-amd64"
SECONDS = float(os.environ.get("ABIDE_BOOT_SECONDS", "120"))  # a boot takes five: KVM within a virtual machine is not to be relied on
DONE = "abide-boot: done"


def kernel():
    """The image of Debian's kernel, fetched once; none where that can't be."""
    for folder in (CACHE, pathlib.Path("/boot")):
        found = sorted(folder.glob("vmlinuz-*"))
        if found:
            return found[-1]
    with tempfile.TemporaryDirectory() as folder:
        shown = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=False).stdout
        names = [line.split()[-1] for line in shown.splitlines() if "Depends:" in line]
        if not names:
            return None
        done = subprocess.run(["apt-get", "download", "-q", names[0]], cwd=folder, capture_output=True, check=False, timeout=100)
        packages = list(pathlib.Path(folder).glob("*.deb"))
        if done.returncode != 0 or not packages:
            return None
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), folder], check=True, capture_output=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        for image in pathlib.Path(folder, "boot").glob("vmlinuz-*"):
            shutil.copy(image, CACHE)
    return kernel()


def archive(files):
    """A cpio archive (newc) of {path: bytes, or a folder: None, or (bytes, mode)}."""
    out = bytearray()

    def entry(name, mode, data, number, major=0, minor=0):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0]
        out.extend(b"070701" + "".join(f"{f:08x}" for f in fields).encode() + name.encode() + b"\0")
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(data)
        out.extend(b"\0" * (-len(out) % 4))

    number = 1
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents} - {".", "/"}
    for folder in sorted(folders | {path for path, content in files.items() if content is None}):
        entry(folder, stat.S_IFDIR | 0o755, b"", number := number + 1)
    entry("dev/console", stat.S_IFCHR | 0o600, b"", number := number + 1, 5, 1)
    for path, content in files.items():
        if content is not None:
            entry(path, stat.S_IFREG | 0o755, content, number := number + 1)
    entry("TRAILER!!!", 0, b"", 0)
    return gzip.compress(bytes(out), 1)


def boot(binaries, toml, check, memory="512M"):
    """Boots; process 1 sets the machine up and becomes `abide up`; a service runs the shell script `check`, which prints.  The
    lines that it printed."""
    binaries = pathlib.Path(binaries)
    files = {"bin/busybox": pathlib.Path(BUSYBOX).read_bytes()}
    for name in ("abide", "abide-manager", "abide-hold"):
        files[f"bin/{name}"] = (binaries / name).read_bytes()
    for folder in ("proc", "sys", "dev", "tmp", "run", "srv", "etc"):
        files[folder] = None
    files["etc/passwd"] = b"root:x:0:0::/:/bin/sh\n"
    files["etc/group"] = b"root:x:0:\n"
    files["init"] = b"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin HOME=/
exec /bin/abide -C /srv up
"""
    files["srv/abide.toml"] = (toml + f"""
[services.check]
kind = "task"
command = ["sh", "/srv/check"]
log = "inherit"
""").encode()
    files["srv/check"] = ("exec >/dev/console 2>&1\ntrap 'echo " + DONE + "; poweroff -f' EXIT\n" + check).encode()
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder, "initrd")
        image.write_bytes(archive(files))
        words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", memory, "-smp", "1", "-nographic", "-no-reboot", "-nodefaults", "-serial",
                 "stdio", "-kernel", str(kernel()), "-initrd", str(image), "-append",
                 "console=ttyS0 quiet panic=-1 rdinit=/init random.trust_cpu=on"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                              check=False)
    lines = [line.rstrip("\r") for line in done.stdout.decode(errors="replace").split("\n")]
    if DONE not in lines:
        raise AssertionError("the machine did not come to an end:\n" + "\n".join(lines[-60:]))
    return lines


def able():
    """Why this can't be done here; nothing when it can."""
    if not shutil.which("qemu-system-x86_64"):
        return "qemu is missing (./bootstrap.sh boot)"
    if not pathlib.Path(BUSYBOX).exists():
        return "busybox-static is missing (./bootstrap.sh oci)"
    return "" if kernel() else "no kernel image"
