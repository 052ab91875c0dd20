"""Abide as process 1 of a machine whose control groups have all controllers: limits, out of memory, the kill and the freeze of a
group.  Under qemu, since a machine that builds may have none of them."""
import json
import os
import pathlib
import sys

from harness import BIN, skip

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "boot"))
import machine  # noqa: E402

# `eat` takes more memory than it may have; `child` survives a child that does, and is then killed by hand; `forks` makes as many
# processes as it may, and hears no signal; `counts` is frozen.
TOML = """
[project]
name = "srv"

[services.eat]
command = ["sh", "-c", "echo >> /run/lives; exec dd if=/dev/zero of=/dev/null bs=100M"]
limits = { memory-max = "24M" }
restart-delay = "50ms"
restart-limit = { count = 3, within = "60s" }
autostart = false

[services.child]
command = ["sh", "-c", "trap : TERM; dd if=/dev/zero of=/dev/null bs=100M; echo > /run/child-gone; while :; do sleep 0.1; done"]
limits = { memory-max = "24M" }
restart = "never"
autostart = false

[services.forks]
command = ["sh", "-c", "trap '' TERM; for i in $(seq 40); do sleep 1000 & done; wait"]
limits = { pids-max = 20, memory-high = "64M", cpu-weight = 50 }
restart = "never"
autostart = false

[services.counts]
command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >> /run/count; done"]
autostart = false
"""

CHECK = r"""
a() { abide -C /srv "$@"; }
group() { echo /sys/fs/cgroup/abide-srv-*/$1+r*; }
say() { echo "SAY $1 $2"; }

echo  # the firmware left its line open
say process1 "$(cat /proc/1/comm)"
a start eat
until a status eat --json | grep -q '"state":"failed".*"restarts":3,'; do sleep 0.1; done
say eat "$(a status eat --json)"
a events --since start --service eat --type process --json | while read -r line; do say exit "$line"; done
say lives "$(wc -l < /run/lives)"
say why "$(a why eat | head -n 3 | tr '\n' ' ')"

a start child
while ! test -e /run/child-gone; do sleep 0.1; done
say counted "$(grep 'oom_kill ' $(group child)/memory.events)"
a kill child --signal KILL
a wait child --for failed --timeout 10s >/dev/null
say child "$(a status child --json)"

a start forks
sleep 1
for file in pids.max pids.current memory.high memory.max cpu.weight; do say $file "$(cat $(group forks)/$file)"; done
say refused "$(grep '^max ' $(group forks)/pids.events)"
folder=$(group forks)
a force-destroy forks
say after-destroy "$(ls -d $folder 2>/dev/null; a status forks --json)"
say left "$(ps | grep -c '[s]leep 1000')"

a start counts
a pause counts
say frozen "$(cat $(group counts)/cgroup.freeze) $(grep frozen $(group counts)/cgroup.events) $(wc -l < /run/count)"
sleep 1
say still "$(wc -l < /run/count)"
a unpause counts
sleep 0.5
say thawed "$(cat $(group counts)/cgroup.freeze) $(wc -l < /run/count)"
"""


def said():
    if why := machine.able():
        skip(why)
    if os.environ.get("ABIDE_BOOT") == "no":
        skip("ABIDE_BOOT=no")
    lines = machine.boot(BIN, TOML, CHECK)
    facts = {}
    for line in lines:
        if line.startswith("SAY "):
            name, _, value = line.removeprefix("SAY ").partition(" ")
            facts.setdefault(name, []).append(value)
    return facts, "\n".join(lines)


def test_a_machine_with_all_controllers():
    facts, whole = said()

    def one(name):
        assert len(facts.get(name, [])) == 1, f"{name}: {facts.get(name)}\n{whole}"
        return facts[name][0]

    assert one("process1") == "abide-anchor"
    # Out of memory: told as such at each of four lives, and begun again by the policy until its limit.
    eat = json.loads(one("eat"))[0]
    assert eat["state"] == "failed" and eat["restarts"] == 3, eat
    assert eat["last_exit"]["signal"] == "KILL" and eat["last_exit"]["oom"] is True, eat
    exits = [json.loads(line)["data"]["exit"] for line in facts["exit"]]
    assert [(e["signal"], e.get("oom")) for e in exits] == [("KILL", True)] * 4, exits
    assert one("lives").strip() == "4" and "(out of memory)" in one("why"), facts
    # What became of a child before is no cause of a death by hand.
    assert one("counted") == "oom_kill 1", facts
    child = json.loads(one("child"))[0]["last_exit"]
    assert child["signal"] == "KILL" and "oom" not in child, child
    # Limits are in force.
    assert one("pids.max") == "20" and one("pids.current") in ("19", "20"), facts  # its shell gives up at the first refusal
    assert (one("memory.high"), one("memory.max"), one("cpu.weight")) == (str(64 << 20), "max", "50"), facts
    assert int(one("refused").split()[1]) > 0, facts
    # All of a group are killed at once, and the group is given back.
    assert not one("after-destroy").startswith("/sys") and one("left") == "0", facts
    # Frozen by the kernel.
    flag, _, frozen, count = one("frozen").split()
    assert (flag, frozen) == ("1", "1") and one("still") == count, facts
    assert one("thawed").split()[0] == "0" and int(one("thawed").split()[1]) > int(count), facts
