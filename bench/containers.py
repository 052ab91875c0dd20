#!/usr/bin/env python3
"""What a container costs beside itself: processes, and memory that nobody shares.

usage: bench/containers.py [--build DIR] [--runtime crun|runc] [--count N]

Starts N containers as services of one instance of Abide, N under conmon (one each, as podman does) with the same bundle and
runtime, and N under containerd (with its shim for runc, if containerd is installed), in a mount and pid namespace of its own.  Counts the processes that are neither the container's nor there before
the first one, and their private memory (Private_Clean + Private_Dirty of /proc/PID/smaps_rollup).
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/system"))


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private"))


def others(of_containers):
    """Processes that are neither containers nor this program."""
    mine = {os.getpid(), *of_containers}
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in mine]


def settled(question, seconds=60.0):
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            raise RuntimeError("not in time")
        time.sleep(0.05)


def with_abide(build, runtime, count, folder):
    import containers
    containers.make_bundle(folder / "box", "exec sleep 1000")
    services = "".join(f'[services.box{i}]\noci = {{ bundle = "box", runtime = "{runtime}" }}\nautostart = false\n'
                       for i in range(count))
    (folder / "abide.toml").write_text('[services.idle]\ncommand = ["sleep", "1000"]\n' + services)
    abide = [str(build / "bin/abide"), "-C", str(folder)]
    subprocess.run([*abide, "up", "--detach"], check=True)
    where = json.loads(subprocess.run([*abide, "where", "--json"], check=True, capture_output=True).stdout)
    own = [where[name] for name in ("anchor_pid", "manager_pid", "logger_pid")]
    before_processes, before = len(others([])), sum(map(private_kib, own))
    subprocess.run([*abide, "start", *(f"box{i}" for i in range(count))], check=True)
    status = json.loads(subprocess.run([*abide, "status", "--json"], check=True, capture_output=True).stdout)
    pids = [s["pid"] for s in status if s["name"].startswith("box")]
    time.sleep(1)  # what the start itself took is given back when it is quiet
    after = others(pids)
    result = len(after) - before_processes, sum(map(private_kib, own)) - before
    subprocess.run([*abide, "down", "--timeout", "1s"], check=True)
    return result


def with_conmon(runtime, count, folder):
    import containers
    containers.make_bundle(folder / "box", "exec sleep 1000")
    program = shutil.which(runtime)
    before = len(others([]))
    pids = []
    for i in range(count):
        name, place = f"conmon{i}", folder / f"c{i}"
        place.mkdir()
        config = json.loads((folder / "box/config.json").read_text())
        config["root"]["path"] = str(folder / "box/rootfs")
        (place / "config.json").write_text(json.dumps(config))
        subprocess.run(["conmon", "--api-version", "1", "-c", name, "-u", name, "-r", program, "-b", str(place), "-p",
                        str(place / "pid"), "-l", f"k8s-file:{place}/log", "--exit-dir", str(folder), "--persist-dir",
                        str(place), "--socket-dir-path", str(place), "--full-attach"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        settled(lambda at=place: (at / "pid").exists() and (at / "pid").read_text().strip())
        subprocess.run([program, "start", name], check=True)
        pids.append(int((place / "pid").read_text()))
    extra = [p for p in others(pids) if "conmon" in pathlib.Path(f"/proc/{p}/comm").read_text()]
    result = len(others(pids)) - before, sum(map(private_kib, extra))
    for i in range(count):
        subprocess.run([program, "delete", "--force", f"conmon{i}"], check=True)
    return result


def with_containerd(count, folder):
    """Its shim for runc, one a container; what containerd itself takes is not counted."""
    import containers
    containers.make_bundle(folder / "box", "exec sleep 1000")
    address = folder / "containerd.sock"
    config = folder / "config.toml"
    config.write_text(f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
                      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
                      f'[grpc]\naddress = "{address}"\n')
    daemon = subprocess.Popen(["containerd", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    ctr = ["ctr", "-a", str(address), "-n", "bench"]
    settled(lambda: address.exists() and subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode == 0)
    spec = json.loads((folder / "box/config.json").read_text())
    spec["root"]["path"] = str(folder / "box/rootfs")
    (folder / "spec.json").write_text(json.dumps(spec))
    for i in range(count):
        subprocess.run([*ctr, "run", "-d", "--config", str(folder / "spec.json"), f"shim{i}"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    shims = [p for p in others([]) if "containerd-shim" in pathlib.Path(f"/proc/{p}/comm").read_text()]
    result = len(shims), sum(map(private_kib, shims))
    for i in range(count):
        subprocess.run([*ctr, "task", "kill", "-s", "KILL", f"shim{i}"], check=True)
        subprocess.run([*ctr, "task", "delete", f"shim{i}"], check=False, capture_output=True)
    daemon.terminate()
    daemon.wait(30)
    pathlib.Path("/sys/fs/cgroup/bench").rmdir()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build/release"))
    parser.add_argument("--runtime", default="crun")
    parser.add_argument("--count", type=int, default=20)
    args = parser.parse_args()
    if os.getpid() != 1:
        command = ["timeout", "-s", "KILL", "300", "unshare", "-pfm", "--kill-child", "--mount-proc", sys.executable, *sys.argv]
        return subprocess.run(command, check=False).returncode
    import containers
    containers.make_view()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="abide-bench-"))
    try:
        for name in ("a", "c", "s"):
            (folder / name).mkdir()
        rows = [("abide", *with_abide(pathlib.Path(args.build).resolve(), args.runtime, args.count, folder / "a"))]
        if shutil.which("conmon"):
            rows.append(("conmon", *with_conmon(args.runtime, args.count, folder / "c")))
        if shutil.which("ctr"):
            rows.append(("containerd-shim", *with_containerd(args.count, folder / "s")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{args.count} containers of {args.runtime}")
    for name, processes, memory in rows:
        print(f"{name:16} {processes / args.count:5.2f} processes and {memory / args.count:8.1f} KiB private, each container")
    return 0


if __name__ == "__main__":
    sys.exit(main())
