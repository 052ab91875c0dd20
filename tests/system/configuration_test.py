"""Configurations that are too much: large, long, endless, or no text at all.  Each is refused at once with one line and its place."""
import os
import re
import resource
import subprocess
import time

from harness import BIN, Instance, instance

CALM = '[services.calm]\ncommand = ["sleep", "1000"]\n'


def refused(one, *words, seconds=10, status=2):
    start = time.monotonic()
    result = one.run("check", timeout=60)
    assert result.returncode == status, result
    assert time.monotonic() - start < seconds
    for word in words:
        assert word in result.stderr, result.stderr[:2000]
    assert len(result.stderr) < 100_000
    return result.stderr


def test_a_hundred_megabytes():
    one = Instance("")
    try:
        with open(one.config, "w") as file:
            for _ in range(100):
                file.write("# nothing but comments, but a great many of them\n" * 21400)
        assert one.config.stat().st_size > 100_000_000

        def bounded():
            resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
        result = subprocess.run([str(BIN / "abide"), "-C", str(one.folder), "check"], stderr=subprocess.PIPE, text=True,
                                timeout=20, preexec_fn=bounded)
        assert result.returncode == 2 and "abide.toml" in result.stderr and "16" in result.stderr, result
        assert len(result.stderr.splitlines()) <= 2, result.stderr
    finally:
        one.close()


def chain(length, last=""):
    services = ['[services.s0]\ncommand = ["true"]\n' + last]
    services += [f'[services.s{i}]\ncommand = ["true"]\nrequires = ["s{i - 1}"]\n' for i in range(1, length)]
    return "".join(services)


def test_a_chain_of_ten_thousand():
    one = Instance(chain(10_000))
    try:
        start = time.monotonic()
        assert "10000 services" in one.ok("check", timeout=60)
        assert time.monotonic() - start < 10
    finally:
        one.close()


def test_a_cycle_of_ten_thousand():
    one = Instance(chain(10_000, 'requires = ["s9999"]\n'))
    try:
        text = one.run("check", timeout=60)
        assert text.returncode == 7 and "s0 requires s9999" in text.stderr, text.stderr[:300]
        named = set(re.findall(r"s\d+ requires s\d+", text.stderr))
        assert len(named) == 10_000 and len(text.stderr.splitlines()) == 1, (len(named), text.stderr[:300])
    finally:
        one.close()


def test_cycles_are_told_with_all_other_errors():
    one = Instance('[services.a]\ncommand = ["sleep", "1"]\nrequires = ["b"]\nnonsense = 1\n'
                   '[services.b]\ncommand = ["sleep", "1"]\nrequires = ["a"]\n')
    try:
        result = one.run("check")
        assert result.returncode == 2 and "nonsense" in result.stderr and "a requires b" in result.stderr, result.stderr
        assert "b requires a" in result.stderr, result.stderr
    finally:
        one.close()


def test_a_chain_is_started_in_its_order():
    length = 300
    services = [f'[services.s{i}]\nkind = "task"\ncommand = ["sh", "-c", "echo {i} >> order"]\n' +
                (f'requires = ["s{i - 1}:succeeded"]\n' if i else "") for i in range(length)]
    with instance("".join(services)) as one:
        one.reaches(f"s{length - 1}", "completed", 60)
        assert (one.folder / "order").read_text().split() == [str(i) for i in range(length)]


def test_a_loop_of_symbolic_links():
    one = Instance("")
    try:
        one.config.unlink()
        one.config.symlink_to("abide.toml")
        result = one.run("check")
        assert result.returncode == 2 and "abide.toml" in result.stderr and len(result.stderr.splitlines()) <= 2, result
        one.config.unlink()
        one.config.write_text('include = ["loop.toml"]\n' + CALM)
        (one.folder / "loop.toml").symlink_to("loop.toml")
        refused(one, "loop.toml", "abide.toml:1:")
        (one.folder / "loop.toml").unlink()
        (one.folder / "loop.toml").write_text('include = ["abide.toml"]\n')
        refused(one, "cycle of includes")
    finally:
        one.close()


def test_not_utf8_has_its_place():
    one = Instance("")
    try:
        one.config.write_bytes(CALM.encode() + b'[services.b]\ncommand = ["\xff\xfe"]\n')
        text = refused(one, "abide.toml:4:")
        assert "\\xff" in text or "UTF-8" in text, text
        one.config.write_bytes(os.urandom(4096))
        refused(one, "abide.toml")
        one.config.write_bytes(b"\0" * 4096)
        refused(one, "abide.toml")
    finally:
        one.close()


def test_names():
    for name in ("../a", "a/b", "", "-a", ".a", "a b", "a@b@c", "a" * 65, "ä"):
        one = Instance(f'[services."{name}"]\ncommand = ["true"]\n')
        try:
            refused(one, "abide.toml:1:")
        finally:
            one.close()
    one = Instance(f'[services."{"a" * 64}"]\ncommand = ["true"]\n[services.A_b-c.d9]\ncommand = ["true"]\n'.replace(
        "A_b-c.d9", '"A_b-c.d9"'))
    try:
        one.ok("check")
    finally:
        one.close()


def test_a_bad_pattern_is_found_when_it_is_loaded():
    one = Instance('[services.a]\ncommand = ["sleep", "1"]\nready = { log = "(ready" }\n')
    try:
        refused(one, "abide.toml:3:17: error", "pattern")
    finally:
        one.close()


def test_a_service_that_only_moves_in_its_file_is_not_changed():
    with instance(CALM) as one:
        pid = one.status("calm")["pid"]
        one.config.write_text("# a line above\n\n" + CALM)
        assert "nothing would change" in one.ok("plan")
        one.ok("reload-config")
        assert one.status("calm")["pid"] == pid


def test_a_running_instance_keeps_what_it_has():
    with instance(CALM) as one:
        pid = one.status("calm")["pid"]
        for text in ("\0", '[services.calm]\ncommand = "sleep 1000\n', chain(50, 'requires = ["s49"]\n')):
            one.config.write_text(text)
            assert one.run("reload-config").returncode in (2, 7)
            assert one.status("calm")["pid"] == pid


def test_what_is_no_file_is_refused_at_once():
    """A FIFO would be waited for; `check` and `up` say what is wrong with it, and name it once."""
    cases = (("abide.toml", None), ("a.env", CALM + 'environment-file = ["a.env"]\n'), ("more.toml", 'include = ["more.toml"]\n' + CALM))
    for name, toml in cases:
        one = Instance(toml or "")
        try:
            fifo = one.folder / name
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo)
            for words in (("check",), ("up", "--detach")):
                result = one.run(*words, timeout=10)
                line = result.stderr.splitlines()[0]
                assert result.returncode == 2 and "not a regular file" in line and line.count(str(fifo)) == 1, result
        finally:
            one.close()


def test_the_null_device_is_an_empty_file():
    one = Instance('include = ["/dev/null"]\n' + CALM + 'environment-file = ["/dev/null"]\n')
    try:
        assert "1 service" in one.ok("check")
    finally:
        one.close()


def test_what_cannot_be_read_says_why():
    one = Instance(CALM + 'environment-file = ["a.env"]\n')
    try:
        loop = one.folder / "a.env"
        loop.symlink_to("a.env")
        text = refused(one, "abide.toml:3:", "Too many levels of symbolic links")
        assert text.count(str(loop)) == 1, text
        result = one.run("add", str(loop))
        assert result.returncode == 2 and "Too many levels" in result.stderr and result.stderr.count(str(loop)) == 1, result
    finally:
        one.close()


def test_names_of_our_own_files():
    with instance(CALM) as one:
        for name in ("supervisor.log", "event-ids"):
            toml = f'[services."{name}"]\ncommand = ["true"]\n'
            added = one.run("add", "-", stdin=toml)
            assert added.returncode == 2 and name in added.stderr and "Abide's own" in added.stderr, added
            one.config.write_text(CALM + toml)
            refused(one, "abide.toml:3:", "Abide's own")
            assert one.run("reload-config").returncode == 2


def test_up_tells_of_files_that_have_changed():
    with instance(CALM) as one:
        assert "configuration" not in one.up().stderr
        one.config.write_text(CALM + '[services.new]\ncommand = ["sleep", "1000"]\n')
        again = one.up()
        assert again.returncode == 0 and again.stderr.count("abide plan") == 1 and len(again.stderr.splitlines()) == 1, again
        for words in (("start", "new"), ("up", "--detach", "new")):
            unknown = one.run(*words)
            assert unknown.returncode == 3 and "abide reload-config" in unknown.stderr.splitlines()[-1], unknown
        assert "reload-config" not in one.run("start", "nobody").stderr
        one.ok("reload-config")
        assert "configuration" not in one.up().stderr


def test_a_limit_without_its_controller_is_told():
    """Whether it can be in force depends on the machine; that `up` and `check` say the same as the supervisor does not."""
    toml = CALM + 'limits = { memory-max = "64M" }\n[services.other]\ncommand = ["sleep", "1000"]\nlimits = { memory-max = "1G" }\n'
    with instance(toml, up=False) as one:
        started = one.up()
        assert started.returncode == 0, started
        warned = started.stderr.count("limits.memory-max")
        told = one.supervisor_log().count("is not in force")
        assert (warned, told) in ((0, 0), (1, 2)), (started.stderr, one.supervisor_log())
        if warned:
            assert "nor that of 1 more" in started.stderr and "abide.toml:1:" in started.stderr, started.stderr
