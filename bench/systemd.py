"""systemd beside us in the section `gap`: how long it answers nobody while `systemctl daemon-reexec` replaces it.

It runs as the first process of namespaces of its own, with nothing but its own units and a control group below ours, so that the
machine's own systemd, if there is one, is not touched.  The client is the one of gap.py in systemd's language: a connection to
its private socket, a Ping (D-Bus specification, "Authentication protocol" and "Message format"), again and again.
"""
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = "/lib/systemd/systemd"
PRIVATE = "/run/systemd/private"
REPLACED = 8  # times
QUIET_SECONDS = 1.5  # for one
SERVICE = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\nStandardOutput=null\n"
TARGET = "[Unit]\nDefaultDependencies=no\nWants={wants}\n"
# In namespaces of its own; $1 has the units.
ENTER = """set -eu
mount --make-rprivate /
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind "$1" /mnt
mount -t tmpfs -o mode=755 none /run
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /usr/lib/systemd/system-generators
mount -t tmpfs none /etc/systemd
mount --bind /mnt /usr/lib/systemd/system
exec env -i container=abide-bench PATH=/usr/bin:/bin /lib/systemd/systemd --system --unit=bench.target --log-level=err"""


def cgroup2():
    """Where we can make a group, or None."""
    mounts = (line.split() for line in open("/proc/mounts"))
    root = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
    own = next((line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::")), None)
    return Path(root + own) if root and own and os.access(root + own, os.W_OK) else None


def can_be_run():
    tools = all(shutil.which(tool) for tool in ("systemctl", "nsenter", "unshare"))
    return tools and os.path.exists(PROGRAM) and cgroup2() is not None


@contextlib.contextmanager
def running(count):
    """A systemd with so many services; the pid of it as we see it."""
    group = cgroup2() / f"abide-bench-systemd-{os.getpid()}"
    units = Path(tempfile.mkdtemp(prefix="abide-bench-systemd-"))
    for i in range(count):
        (units / f"s{i}.service").write_text(SERVICE)
    (units / "bench.target").write_text(TARGET.format(wants=" ".join(f"s{i}.service" for i in range(count))))
    group.mkdir()
    try:
        process = subprocess.Popen(
            ["unshare", "--cgroup", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--mount-proc",
             "sh", "-c", ENTER, "sh", str(units)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: (group / "cgroup.procs").write_text("0"))
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            end = time.monotonic() + 5
            while not children.read_text():
                if time.monotonic() > end:
                    raise RuntimeError("no namespace for systemd")
                time.sleep(0.01)
            yield int(children.read_text())
        finally:
            process.kill()  # and with it all in its namespace
            process.wait()
    finally:
        remove(group)
        shutil.rmtree(units)


def remove(group):
    """When those who were killed have left it."""
    for _ in range(500):
        with contextlib.suppress(OSError):
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
            return
        time.sleep(0.01)


def field(code, kind, text):
    value = text.encode()
    out = struct.pack("<BBcxI", code, 1, kind, len(value)) + value + b"\0"
    return out + b"\0" * (-len(out) % 8)


FIELDS = field(1, b"o", "/org/freedesktop/systemd1") + field(2, b"s", "org.freedesktop.DBus.Peer") + field(3, b"s", "Ping")
PING = b"l\1\0\1" + struct.pack("<III", 0, 1, len(FIELDS.rstrip(b"\0")) + 1) + FIELDS
HELLO = b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\nBEGIN\r\n"


def answers():
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(ConnectionError, FileNotFoundError):
        client.settimeout(10)
        client.connect(PRIVATE)
        client.sendall(HELLO)
        if not client.recv(4096):
            return False
        client.sendall(PING)
        return bool(client.recv(4096))
    return False


def longest_silence(seconds):
    longest, last = 0, time.monotonic_ns()
    end = last + int(seconds * 1e9)
    while last < end:
        if answers():
            now = time.monotonic_ns()
            longest, last = max(longest, now - last), now
    return longest / 1e6


def main():
    """Inside: prints the milliseconds of each time."""
    end = time.monotonic() + 20
    while not answers():
        if time.monotonic() > end:
            sys.exit("systemd does not answer")
        time.sleep(0.01)
    while subprocess.run(["systemctl", "is-active", "-q", "bench.target"]).returncode != 0 and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    for _ in range(REPLACED):
        command = subprocess.Popen(["systemctl", "daemon-reexec"])
        print(longest_silence(QUIET_SECONDS), flush=True)
        if command.wait(10) != 0:
            sys.exit("daemon-reexec failed")


def reexec_gaps(count):
    """Milliseconds from the last answer of the old to the first of the new, one for each time."""
    with running(count) as pid:
        inside = subprocess.run(["nsenter", "-t", str(pid), "-m", "-p", "/usr/bin/python3", str(Path(__file__).resolve())],
                                stdout=subprocess.PIPE, text=True, timeout=60)
        if inside.returncode != 0:
            raise RuntimeError("systemd's daemon-reexec can't be measured")
        return [float(line) for line in inside.stdout.split()]


if __name__ == "__main__":
    signal.alarm(60)
    main()
