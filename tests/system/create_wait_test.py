"""create beside wait: whichever comes first, the wait sees that it was created.  ABIDE_ROUNDS sets how many rounds (200)."""
import os
import random
import subprocess

from harness import BIN, instance, until

ROUNDS = int(os.environ.get("ABIDE_ROUNDS", "200"))
WEB = '[services.web]\ncommand = ["sleep", "1000"]\nautostart = false\n'


def test_the_founding_form():
    with instance(WEB) as one:
        script = "abide create web & abide wait web --for created && echo one >> hooks && echo two >> hooks && abide start web"
        script = script.replace("abide ", f"{BIN.resolve()}/abide -C {one.folder} ")
        for turn in range(5):
            done = subprocess.run(["sh", "-c", script + "; status=$?; wait; exit $status"], cwd=one.folder, timeout=30,
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, done
            assert one.state("web") == "running"
            assert (one.folder / "hooks").read_text() == "one\ntwo\n" * (turn + 1)
            one.ok("stop", "web")


def test_no_created_is_missed():
    """Both at once, in an order that nobody knows: no wait misses it, none hangs, none takes the one before for it."""
    with instance(WEB) as one:
        abide = [str(BIN / "abide"), "-C", str(one.folder)]
        create, wait = [*abide, "create", "web"], [*abide, "wait", "web", "--for", "created", "--timeout", "20s"]
        for turn in range(ROUNDS):
            pair = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for words in random.sample([create, wait], 2)]
            told = [process.communicate(timeout=30) for process in pair]
            assert [p.returncode for p in pair] == [0, 0], (turn, told)
            assert one.state("web") == "created"
            one.ok("stop", "web")
            assert one.run("wait", "web", "--for", "created", "--timeout", "0").returncode == 6, turn
        until(lambda: one.state("web") == "inactive")
