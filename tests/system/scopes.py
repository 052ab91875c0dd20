"""Instances in the other scopes: the machine's own (--system), and that of a plain user (--user), who may make no control groups.

The machine's lives in /etc/abide, /run/abide and /var/log/abide, and users stand in /etc/passwd: all of a mount namespace of
ours, so the real ones are not touched.
"""
import contextlib
import ctypes
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import BIN, Instance

CLONE_NEWNS = 0x20000
PROGRAMS = ("abide", "abide-manager", "abide-hold")
libc = ctypes.CDLL(None, use_errno=True)


class UserInstance(Instance):
    """Of a user that nobody else is; `folder` is the home.  own_machine() comes before."""

    def __init__(self):
        super().__init__("")
        self.uid = 200_000 + int.from_bytes(os.urandom(2), "little")
        with open("/etc/passwd", "a") as users:
            users.write(f"u{self.uid}:x:{self.uid}:{self.uid}::{self.folder}:/bin/sh\n")
        self.config.unlink()
        self.config = self.folder / ".config/abide/abide.toml"
        self.config.parent.mkdir(parents=True)
        # Programs where this user may execute them: the build may lie in somebody's home.
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        for name in PROGRAMS:
            shutil.copy(BIN / name, self.programs / name)
        self.who = {"user": self.uid, "group": self.uid, "extra_groups": [], "cwd": self.folder,
                    "env": {"PATH": os.environ["PATH"]}}

    def give(self):
        subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", str(self.folder)], check=True)

    def command(self):
        return [str(self.programs / "abide"), "--user"]

    def close(self):
        super().close()
        shutil.rmtree(f"/tmp/abide-{self.uid}", ignore_errors=True)


def own_machine():
    """What belongs to the machine is ours alone from here on, for this process and its children."""
    def mount(source, target, flags):
        if libc.mount(source.encode(), target.encode(), None, flags, None) != 0:
            raise OSError(ctypes.get_errno(), f"mount {source} on {target}")
    recursive, private, bind = 0x4000, 0x40000, 0x1000
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", recursive | private)
    away = pathlib.Path(tempfile.mkdtemp(prefix="abide-test-machine-"))
    subprocess.run(["cp", "-a", "/etc", str(away / "etc")], check=True)
    for name in ("run", "log"):
        (away / name).mkdir()
    for source, target in ((away / "etc", "/etc"), (away / "run", "/run"), (away / "log", "/var/log")):
        mount(str(source), target, bind)
    return away


class SystemInstance(Instance):
    """--system; own_machine() comes before, and one at a time."""

    def __init__(self):
        super().__init__("")
        self.config.unlink()
        self.config = pathlib.Path("/etc/abide/abide.toml")
        self.config.parent.mkdir(exist_ok=True)

    def command(self):
        return [str(BIN / "abide"), "--system"]

    def close(self):
        super().close()
        for place in ("/etc/abide", "/run/abide", "/var/log/abide"):
            with contextlib.suppress(OSError):
                shutil.rmtree(place)
