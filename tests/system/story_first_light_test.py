#!/usr/bin/env python3
"""Up, status, a killed service comes back, a killed manager comes back without anybody noticing, down leaves nothing."""
import os
import pathlib
import signal

from project import Project, alive, check, isolate, until

TOML = """
[project]
name = "first"
[services.db]
command = ["sleep", "1000"]
[services.api]
command = ["sh", "-c", "echo api begins; exec sleep 1000"]
requires = ["db"]
"""


def test_first_light():
    with Project(TOML) as project:
        project.ok("up", "--detach")
        check([one["state"] for one in project.status()] == ["running", "running"], "both services run")
        db, api = project.status("db")["pid"], project.status("api")["pid"]
        check(alive(db) and alive(api), "their processes live")

        os.kill(api, signal.SIGKILL)
        until(lambda: project.status("api").get("pid") not in (None, api) and project.status("api")["state"] == "running",
              "a killed service is back")
        check(project.status("api")["last_exit"]["signal"] == "KILL", "its exit is told exactly")
        check(project.status("api")["restarts"] == 1 and project.status("db")["pid"] == db, "nobody else was touched")

        where = project.where()
        before = {one["name"]: one["pid"] for one in project.status()}
        os.kill(where["manager_pid"], signal.SIGKILL)
        until(lambda: project.where()["manager_pid"] not in (0, where["manager_pid"]), "a killed manager is back")
        check({one["name"]: one["pid"] for one in project.status()} == before, "every pid is unchanged")
        os.kill(before["api"], signal.SIGKILL)
        until(lambda: project.status("api").get("pid") not in (None, before["api"]), "the new manager restarts services")

        os.kill(project.where()["manager_pid"], signal.SIGKILL)
        os.kill(project.status("db")["pid"], signal.SIGKILL)
        until(lambda: project.status("db").get("restarts") == 1 and project.status("db")["state"] == "running",
              "a death while no manager lives is not missed")

        mine = "abide-" + pathlib.Path(where["runtime"]).name  # other groups may come and go under the walk
        trees = [pathlib.Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(folder) == mine]
        pids = [one["pid"] for one in project.status()]
        runtime = pathlib.Path(where["runtime"])
        project.ok("down")
        check(not any(alive(pid) for pid in pids), "nothing lives after down")
        until(lambda: not alive(where["anchor_pid"]), "the anchor ends")
        check(not (runtime / "control").exists(), "no socket is left")
        for tree in trees:
            until(lambda tree=tree: not tree.exists(), f"no control group is left: {tree}")


if __name__ == "__main__":
    isolate()
    test_first_light()
