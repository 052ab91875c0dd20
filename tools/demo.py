#!/usr/bin/env python3
"""The story that ./demo.sh tells.  Every sentence that ends in `ok` was checked against the kernel or a real client.

    tools/demo.py BIN-DIR
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABIDE = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release/bin").resolve() / "abide"
PORTS = {"SHOP_WEB_PORT": 18000, "SHOP_API_PORT": 18080, "SHOP_DB_PORT": 15432, "SHOP_CACHE_PORT": 16379}
WEB = f"http://127.0.0.1:{PORTS['SHOP_WEB_PORT']}"
LONG_RUNNING = ("db", "cache", "api", "web")
STEP_SECONDS = 120  # no command may take longer

SLOW = """
[services.slow]
description = "Says that it starts, and never says that it has"
command = ["sleep", "infinity"]
ready = { notify = true, timeout = "10m" }
autostart = false
"""
CYCLE = """
[services.hen]
command = ["sleep", "1"]
requires = ["egg"]

[services.egg]
command = ["sleep", "1"]
requires = ["nest"]

[services.nest]
command = ["sleep", "1"]
requires = ["hen"]
"""


class Story:
    def __init__(self):
        self.chapter_number, self.failures, self.checks = 0, [], 0

    def chapter(self, title):
        self.chapter_number += 1
        print(f"\n{self.chapter_number}. {title}", flush=True)

    def say(self, text):
        print("   " + text.rstrip("\n").replace("\n", "\n   "), flush=True)

    def check(self, holds, text):
        self.checks += 1
        if not holds:
            self.failures.append(text)
        print(f"   {'ok  ' if holds else 'FAIL'}  {text}", flush=True)
        return holds


story = Story()


class Project:
    """One folder with an abide.toml, and the commands on it."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def run(self, *arguments):
        return subprocess.run([ABIDE, "-C", self.folder, *arguments], capture_output=True, text=True, timeout=STEP_SECONDS,
                              stdin=subprocess.DEVNULL)

    def json(self, *arguments):
        done = self.run(*arguments, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"abide {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def status(self):
        return {service["name"]: service for service in self.json("status")}

    def detail(self, name):
        found = self.json("status", name)
        return found[0] if isinstance(found, list) else found

    def pids(self):
        return {name: service["pid"] for name, service in self.status().items() if service["pid"]}

    def where(self):
        return self.json("where")


def get(path, data=None, timeout=10):
    with urllib.request.urlopen(urllib.request.Request(WEB + path, data=data), timeout=timeout) as answer:
        return json.loads(answer.read())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def instant(text):
    """Seconds since 1970 of a time stamp with nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (fraction or "0"))


def wait_until(condition, seconds, pause=0.005):
    """Seconds that it took, or None."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            if condition():
                return time.monotonic() - start
        except (OSError, ValueError, KeyError, RuntimeError):
            pass
        time.sleep(pause)
    return None


def cgroups():
    return {str(path) for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if Path(mount, "cgroup.procs").exists()
            for path in Path(mount).rglob("abide*shop*") if path.is_dir()}


def listening():
    """Ports of the shop on which somebody listens."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    open_ports = {int(line.split()[1].split(":")[1], 16) for line in lines if line.split()[3] == "0A"}
    return open_ports & set(PORTS.values())


def processes_of(folder):
    """Processes that were started from, or work in, the demo's folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                words += " " + os.readlink(entry / "cwd") + " " + (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(folder) in words:
                found[int(entry.name)] = words.split(" ")[0]
    return found


class Load(threading.Thread):
    """Requests through nginx to the database, one after the other, until told to stop; never more than `most`."""

    def __init__(self, most=20000):
        super().__init__(daemon=True)
        self.most, self.done, self.lost, self.ending = most, 0, [], threading.Event()

    def run(self):
        while not self.ending.is_set() and self.done < self.most:
            try:
                get("/items")
            except (OSError, ValueError) as error:
                self.lost.append(repr(error))
            self.done += 1


def first_run(detail):
    """(started, ready or ended) of a service's only run, in seconds since 1970."""
    story_of = detail["detail"]
    if story_of["runs"]:
        run = story_of["runs"][0]
        return instant(run["started"]), instant(run["ready"]) if run["ready"] else None
    past = story_of["past"][-1]
    return instant(past["started"]), instant(past["ended"])


def start(shop):
    story.chapter("Bring the shop up: as parallel as its dependencies allow")
    began = time.time()
    done = shop.run("up", "--detach")
    took = time.time() - began
    story.say(done.stdout + done.stderr)
    story.check(done.returncode == 0, f"`abide up --detach` returned 0 after {took:.2f} s, when everything was ready")
    details = {name: shop.detail(name) for name in ("folders", "db", "cache", "migrate", "api", "web")}
    times = {name: first_run(detail) for name, detail in details.items()}
    origin = min(started for started, _ in times.values())
    for name, (started, ready) in sorted(times.items(), key=lambda item: item[1][0]):
        edges = [d["target"] for d in details[name]["detail"]["dependencies"] if d["relation"] in ("requires", "binds-to")]
        last = max(edges, key=lambda target: times[target][1], default=None)
        wait = f"waited {started - origin:.3f} s for {', '.join(edges)}; {last} was the last" if last else "waited for nobody"
        story.say(f"{name:8} began at {started - origin:6.3f} s, ready at {ready - origin:6.3f} s   {wait}")
        story.check(all(times[target][1] <= started for target in edges),
                    f"{name} began after {' and '.join(edges) if edges else 'nobody'}")
    db, cache = times["db"], times["cache"]
    story.check(abs(db[0] - cache[0]) < 0.5 and cache[0] < db[1] and db[0] < cache[1],
                f"db and cache started side by side, {abs(db[0] - cache[0]) * 1000:.1f} ms apart")


def look(shop):
    story.chapter("Look at it")
    done = shop.run("status")
    story.say(done.stdout)
    states = {name: service["state"] for name, service in shop.status().items()}
    story.check(all(states[name] == "running" for name in LONG_RUNNING), "four servers are running")
    story.check(states["folders"] == states["migrate"] == "completed", "two tasks have completed")
    done = shop.run("why", "api")
    story.say(done.stdout)
    story.check(done.returncode == 0 and done.stdout.strip() != "", "`abide why api` tells the chain of causes")


def ask(shop):
    story.chapter("A real request: curl -> nginx -> application -> PostgreSQL")
    items = get("/items")
    story.say(f"GET /items         {items}")
    before = get("/orders")["orders"]
    order = get("/orders/rope", data=b"")
    story.say(f"POST /orders/rope  {order}")
    seen = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(PORTS["SHOP_DB_PORT"]), "-U", "shop", "-d", "postgres", "-Atc",
                           "SELECT count(*) FROM orders WHERE item = 'rope'"], capture_output=True, text=True, timeout=20)
    story.check(items.get("anchor") == 1200, "the rows of the migration came back")
    story.check(seen.stdout.strip() == str(before + 1), f"the order stands in the database ({seen.stdout.strip()} row)")
    story.check(get("/hits")["hits"] >= 1, "the cache counted")


def kill_service(shop):
    story.chapter("kill -9 of the application")
    old = shop.pids()
    killed_at = time.time()
    os.kill(old["api"], 9)
    began = time.monotonic()
    back = wait_until(lambda: get("/healthz", timeout=2)["pid"] != old["api"], 30)
    story.check(back is not None, f"pid {old['api']} killed; answered again after {(back or 0) * 1000:.0f} ms, through nginx")
    wait_until(lambda: shop.status()["api"]["state"] == "running", 20)
    story.say(f"(of which an interpreter's start and a database connection; {time.monotonic() - began:.2f} s until ready)")
    now = shop.status()["api"]
    story.check(now["restarts"] == 1 and now["last_exit"]["signal"] == "KILL", "status tells: one restart, last exit by KILL")
    others = {name: pid for name, pid in shop.pids().items() if name != "api"}
    story.check(others == {name: pid for name, pid in old.items() if name != "api"}, "no other service was touched")
    story.say(shop.run("why", "api").stdout)
    return killed_at


def kill_manager(shop):
    story.chapter("kill -9 of the supervisor's manager, three times, under load")
    before, where = shop.pids(), shop.where()
    load = [Load() for _ in range(4)]
    for worker in load:
        worker.start()
    time.sleep(0.5)
    managers = [where["manager_pid"]]
    for _ in range(3):
        os.kill(managers[-1], 9)
        began = time.monotonic()
        took = wait_until(lambda: shop.where()["manager_pid"] not in (0, managers[-1]), 20)
        if not story.check(took is not None, f"manager {managers[-1]} killed; the next one answered after "
                                             f"{(time.monotonic() - began) * 1000:.0f} ms"):
            break
        managers.append(shop.where()["manager_pid"])
        time.sleep(0.5)
    for worker in load:
        worker.ending.set()
    for worker in load:
        worker.join(20)
    done, lost = sum(w.done for w in load), [error for w in load for error in w.lost]
    story.check(done > 100 and not lost, f"{done} requests meanwhile, {len(lost)} lost {lost[:3] if lost else ''}")
    after = shop.pids()
    story.check(after == before, f"every pid is what it was: {', '.join(f'{n} {p}' for n, p in sorted(after.items()))}")
    story.check(shop.where()["anchor_pid"] == where["anchor_pid"], f"so is the anchor's: {where['anchor_pid']}")
    states = {name: service["state"] for name, service in shop.status().items()}
    story.check(all(states[name] == "running" for name in LONG_RUNNING), "the new manager found all of them running")


def hang(shop):
    story.chapter("A start that hangs blocks nothing")
    done = shop.run("start", "slow", "--no-wait")
    story.check(done.returncode == 0, "`abide start slow --no-wait`")
    slowest = 0
    for _ in range(10):
        began = time.monotonic()
        states = shop.status()
        slowest = max(slowest, time.monotonic() - began)
    story.check(states["slow"]["state"] == "starting", f"slow is {states['slow']['state']} (stage {states['slow']['stage']})")
    story.check(slowest < 0.5, f"ten times `abide status` meanwhile; the slowest took {slowest * 1000:.1f} ms")
    began = time.monotonic()
    done = shop.run("restart", "cache")
    story.check(done.returncode == 0, f"`abide restart cache` meanwhile: done in {(time.monotonic() - began) * 1000:.0f} ms")
    story.say(shop.run("why", "slow").stdout)
    story.check(shop.run("stop", "slow").returncode == 0 and shop.status()["slow"]["state"] == "inactive",
                "`abide stop slow` cancels the start")


def cycle(folder):
    story.chapter("A cycle is refused before anything happens, with its edges")
    folder.mkdir()
    (folder / "abide.toml").write_text(CYCLE)
    hens = Project(folder)
    for command in (("check",), ("up", "--detach")):
        done = hens.run(*command)
        text = done.stdout + done.stderr
        story.say(text)
        story.check(done.returncode in (2, 7), f"`abide {' '.join(command)}` is refused with status {done.returncode}")
        story.check(all(name in text for name in ("hen", "egg", "nest")) and "abide.toml:" in text,
                    "every edge is named, with its line")
    story.check(hens.run("status").returncode == 4, "and no supervisor was left running for it")


def logs(shop, killed_at):
    story.chapter("Logs, from an instant on")
    everything = shop.run("logs", "api").stdout
    since = datetime.fromtimestamp(killed_at).astimezone().isoformat(timespec="milliseconds")
    recent = shop.run("logs", "api", "--since", since)
    story.say(f"$ abide logs api --since {since}\n" + recent.stdout + recent.stderr)
    story.check(everything.count("listening on") == 2, "the application has said twice that it listens")
    story.check(recent.stdout.count("listening on") == 1, "once since it was killed")
    last = shop.run("logs", "db", "-n", "2").stdout.strip().splitlines()
    story.say("$ abide logs db -n 2\n" + "\n".join(last))
    story.check(len(last) == 2, "the last two lines of the database")


def stop(shop):
    story.chapter("Stop, in order")
    mains = {name: pid for name, pid in shop.pids().items() if name in LONG_RUNNING}
    gone, ending = {}, threading.Event()

    def watch():
        while len(gone) < len(mains) and not ending.is_set():
            for name, pid in mains.items():
                if name not in gone and not alive(pid):
                    gone[name] = time.monotonic()
            time.sleep(0.001)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.monotonic()
    done = shop.run("down")
    took = time.monotonic() - began
    story.say(done.stdout + done.stderr)
    watcher.join(5)
    ending.set()
    story.check(done.returncode == 0, f"`abide down` returned 0 after {took:.2f} s")
    if story.check(len(gone) == len(mains), "all four servers have ended"):
        story.say("ended: " + ", ".join(f"{name} {(at - began) * 1000:.0f} ms" for name, at in
                                        sorted(gone.items(), key=lambda item: item[1])))
        story.check(gone["web"] < gone["api"] < min(gone["db"], gone["cache"]), "nginx first, then the application, then its data")


def nothing_left(folder, own, groups_before, where):
    story.chapter("Nothing is left behind")
    wait_until(lambda: not any(alive(pid) for pid in own), 5)
    story.check(not [pid for pid in own if alive(pid)], "anchor, manager and logger have ended")
    left = processes_of(folder)
    story.check(not left, f"no process of the demo is left {left or ''}")
    extra = cgroups() - groups_before
    story.check(not extra, f"no cgroup is left {extra or ''}")
    story.check(not listening(), f"nobody listens on the shop's ports {listening() or ''}")
    paths = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if where["runtime"] in line]
    story.check(not paths and not Path(where["control"]).exists(), f"no socket is left {paths or ''}")


def clean_up(shop, folder):
    shop.run("down", "--timeout", "5s")
    for pid in processes_of(folder):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    shutil.rmtree(folder, ignore_errors=True)


def main():
    busy = listening()
    if busy:
        print(f"demo: ports {sorted(busy)} are in use; is another demo running?", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="abide-demo-"))
    folder.chmod(0o755)
    shutil.copytree(ROOT / "examples/shop", folder / "shop", ignore=shutil.ignore_patterns("__pycache__", ".abide"))
    settings = {"SHOP_DATA": folder / "data", **PORTS}
    (folder / "shop/shop.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (folder / "shop/abide.d").mkdir()
    (folder / "shop/abide.d/slow.toml").write_text(SLOW)
    shop, groups_before = Project(folder / "shop"), cgroups()
    try:
        start(shop)
        look(shop)
        ask(shop)
        killed_at = kill_service(shop)
        kill_manager(shop)
        hang(shop)
        cycle(folder / "cycle")
        logs(shop, killed_at)
        where = shop.where()
        stop(shop)
        nothing_left(folder, [where[f"{name}_pid"] for name in ("anchor", "manager", "logger")], groups_before, where)
    except (RuntimeError, OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as error:
        story.check(False, f"the story broke off: {error!r}")
    finally:
        clean_up(shop, folder)
    if story.failures:
        print(f"\ndemo: {len(story.failures)} of {story.checks} checks failed")
        return 1
    print(f"\ndemo: all of it was seen ({story.checks} checks)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
