"""What the tests of containers share: bundles made of a static busybox, and a view of the machine in which the runtimes work.

crun 1.8 does not work where version 1 and version 2 control groups are mounted side by side, so the tests see the version 2
hierarchy alone, in a mount namespace of their own, with a /run of their own.
"""
import json
import os
import pathlib
import shutil
import subprocess

RUNTIMES = [name for name in ("crun", "runc") if shutil.which(name)]
BUSYBOX = "/usr/bin/busybox"


def isolated():
    """Only where the runner has put us: as the first process of a namespace."""
    return os.getpid() == 1 and os.geteuid() == 0


def make_view():
    if not isolated():
        raise RuntimeError("these tests change mounts: run them by tests/system/run.py as root")
    subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=False, stderr=subprocess.DEVNULL)
    for words in (["-t", "cgroup2", "none", "/sys/fs/cgroup"], ["-t", "tmpfs", "none", "/run"]):
        subprocess.run(["mount", *words], check=True)


def config(script, **more):
    made = {
        "ociVersion": "1.0.0",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", script],
                    "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "box",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    made.update(more)
    return made


def make_bundle(folder, script, **more):
    """folder/rootfs with a busybox, folder/config.json that runs the script by its shell."""
    folder = pathlib.Path(folder)
    for name in ("bin", "proc", "tmp", "dev"):
        (folder / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "rootfs/bin/busybox").exists():
        shutil.copy(BUSYBOX, folder / "rootfs/bin/busybox")
        for name in ("sh", "sleep", "true", "kill", "echo", "cat", "test"):
            os.symlink("busybox", folder / "rootfs/bin" / name)
    (folder / "config.json").write_text(json.dumps(config(script, **more)))
    return folder


def known(runtime):
    """The ids that the runtime knows."""
    done = subprocess.run([runtime, "list", "-q"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.split()


def groups():
    """Control groups of containers that are left."""
    return [str(path) for path in pathlib.Path("/sys/fs/cgroup").rglob("container")]
