#!/usr/bin/env python3
"""Shows that each rule of tools/tidy.py can fail: a tiny tree that is clean, then one that breaks one rule.

    tools/tidy_test.py        ends with `N passed, N failed`
"""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tidy  # noqa: E402
import tidy_text  # noqa: E402

TOOLS = Path(__file__).resolve().parent

CLEAN = {
    "src/base/word.hpp": "// base/word.hpp -- a word.\n#pragma once\ninline int word() { return 1; }\n",
    "src/core/step.hpp": '// core/step.hpp -- a step.\n#pragma once\n#include "base/word.hpp"\nint step(int n);\n',
    "src/core/step.cc": '// core/step.cc -- a step.\n#include "core/step.hpp"\nint step(int n) { return n + word(); }\n',
    "src/kernel/fd.cc": "// kernel/fd.cc -- closes.\n#include <unistd.h>\nvoid finish(int fd) { ::close(fd); }\n",
    "src/kernel/open.cc": "// kernel/open.cc -- opens.\n#include <fcntl.h>\n#include <sys/socket.h>\n"
                          "int both() {\n    int a = ::open(\"/x\",\n                   O_RDONLY | O_CLOEXEC);\n"
                          "    return a + ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);\n}\n",
    "tools/layers.txt": "base:\ncore: base\nkernel: base\nmanager: base core kernel\n",
    "tools/ratchet.txt": "",
    "tools/purity.txt": (TOOLS / "purity.txt").read_text(),
}


class Case(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="tidy-test-"))
        self.addCleanup(shutil.rmtree, self.root)
        for name, text in CLEAN.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def findings(self, rule, build=None):
        return tidy.check(self.root, build, [rule])[rule]

    def assert_reported(self, rule, file, words, build=None):
        found = self.findings(rule, build)
        self.assertTrue(any(f.file == file and words in f.text for f in found), f"{rule}: {found}")

    def compile(self, source, target, *flags):
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["g++", "-std=c++23", "-I", self.root / "src", *flags, self.root / source, "-o", self.root / target],
                       check=True)


class Text(Case):
    def test_a_clean_tree_has_no_finding(self):
        for rule, found in tidy.check(self.root).items():
            self.assertFalse(found, rule)

    def test_a_folder_includes_one_above_it(self):
        self.write("src/base/word.hpp", '// x\n#pragma once\n#include "core/step.hpp"\n')
        self.assert_reported("layers", "src/base/word.hpp", "base may not include core")

    def test_a_folder_is_not_in_the_table(self):
        self.write("src/stray/x.cc", "// x\n")
        self.assert_reported("layers", "src/stray/x.cc", "not in tools/layers.txt")

    def test_an_include_that_leads_nowhere(self):
        self.write("src/base/x.cc", '// x\n#include "base/gone.hpp"\n')
        self.assert_reported("layers", "src/base/x.cc", "gone.hpp")

    def test_the_simulator_includes_the_kernel_side(self):
        self.write("src/kernel/fd.hpp", "// x\n#pragma once\n")
        self.write("sim/world.cc", '// x\n#include "kernel/fd.hpp"\n')
        self.assert_reported("layers", "sim/world.cc", "kernel")

    def test_a_kernel_header_outside_the_kernel_side(self):
        for header in ("unistd.h", "sys/epoll.h", "linux/sched.h", "pwd.h", "poll.h"):
            self.write("src/manager/x.cc", f"// x\n#include <{header}>\n")
            self.assert_reported("system-headers", "src/manager/x.cc", header)

    def test_a_pure_folder_includes_a_clock(self):
        for header in ("chrono", "random", "iostream", "unordered_map"):
            self.write("src/core/x.cc", f"// x\n#include <{header}>\n")
            self.assert_reported("pure-headers", "src/core/x.cc", header)

    def test_two_headers_include_each_other(self):
        self.write("src/base/a.hpp", '// x\n#pragma once\n#include "base/b.hpp"\n')
        self.write("src/base/b.hpp", '// x\n#pragma once\n#include "base/a.hpp"\n')
        self.assertTrue(any("a.hpp" in f.text and "b.hpp" in f.text for f in self.findings("cycles")))

    def test_a_long_file(self):
        self.write("src/base/x.cc", "// x\n" * 601)
        self.assert_reported("sizes", "src/base/x.cc", "601 lines")

    def test_a_wide_line(self):
        self.write("src/base/x.cc", "// " + "x" * 118 + "\n")
        self.assert_reported("sizes", "src/base/x.cc", "121 columns")

    def test_a_long_function(self):
        body = "    n += 1;  // {\n" * 69
        for head in ("int f(int n) {", "Thing::Thing(int n) : a_{n}, b_(n) {", "auto f(int n) const -> int {",
                     "template <class T>\nint f(T n) noexcept {", "struct S {\nint f(int n) {"):
            self.write("src/base/x.cc", f"// x\nnamespace abide {{\n{head}\n{body}}}\n}}\n" + "};\n" * ("struct" in head))
            self.assert_reported("sizes", "src/base/x.cc", "function of 7")

    def test_a_long_table_is_not_a_function(self):
        self.write("src/base/x.cc", "// x\nconst Row kTable[] = {\n" + '    {"a", word()},\n' * 80 + "};\n")
        self.assertFalse(self.findings("sizes"))

    def test_a_long_table_with_functions_in_it_is_not_a_function(self):
        row = '    {{.name = "a",\n      .doc = "b"},\n     [](int n) { return n; }},\n    {{.name = "c"}, read},\n'
        self.write("src/base/x.cc", "// x\nconst Row kTable[] = {\n" + row * 30 + "};\n")
        self.assertFalse(self.findings("sizes"))

    def test_the_ratchet_tolerates_and_only_shrinks(self):
        self.write("src/base/x.cc", "// x\n" * 650)
        self.write("tools/ratchet.txt", "src/base/x.cc 650 70\n")
        self.assertFalse(self.findings("sizes"))
        self.write("src/base/x.cc", "// x\n" * 651)
        self.assert_reported("sizes", "src/base/x.cc", "the limit is 650")
        self.write("src/base/x.cc", "// x\n" * 640)
        self.assert_reported("sizes", "tools/ratchet.txt", "lower its entry")
        (self.root / "src/base/x.cc").unlink()
        self.assert_reported("sizes", "tools/ratchet.txt", "remove its entry")

    def test_a_descriptor_that_would_leak(self):
        for call in ('int a = open("x", O_RDONLY);', "return socket(1, 2, 0);", "x = ::accept4(a, b, c, SOCK_NONBLOCK);",
                     "if (pipe2(p, O_NONBLOCK)) go();", "f(epoll_create1(0));", 'f(memfd_create("x", 0));',
                     "f(inotify_init1(0));", "return ::accept(a, b, c);", "::pipe(p);", "f(dup(a));",
                     "return call(__NR_openat, AT_FDCWD, path, flags, 0);", "syscall(SYS_socket, a, b, c);"):
            self.write("src/kernel/x.cc", f"// x\nvoid f() {{\n    {call}\n}}\n")
            found = self.findings("cloexec")
            self.assertTrue(any(f.file == "src/kernel/x.cc" and f.line == 3 for f in found), call)

    def test_a_method_that_is_called_open_is_no_system_call(self):
        self.write("src/kernel/x.cc", '// x\nResult<Fd> open(const char* path);\nvoid f() { file.open("x"); sys::open("y"); }\n'
                                      "long g() { return call(__NR_openat, at(path), flags | kCloexec); }\n")
        self.assertFalse(self.findings("cloexec"))

    def test_banned_words(self):
        self.write("src/kernel/y.cc", "// x\nvoid f() {\n    ::close(fd);\n}\n")
        self.assert_reported("banned", "src/kernel/y.cc", "close")
        for text, words in ((" int* a = new int;", "new"), (" delete a;", "delete"),
                            (" strcpy(a, b);", "C string"), (" std::sprintf(a, b);", "C string"), (' system("ls");', "shell"),
                            (' popen("ls", "r");', "shell"), (" return atoi(a);", "number"), (" x = std::strtol(a, b, 10);", "number"),
                            (" usleep(1);", "sleeps"), (" using namespace std;", "namespace"), (" try { } catch (...) { }", "catch"),
                            (" // TO" + "DO later", "unfinished")):
            self.write("src/manager/x.cc", f"// x\nvoid f() {{\n   {text}\n}}\n")
            self.assert_reported("banned", "src/manager/x.cc", words)

    def test_banned_words_in_comments_and_strings_are_words(self):
        self.write("src/manager/x.cc", '// never close(fd) or new int\nconst char* k = "system(1) R( delete x";\n'
                                       "struct S { S(const S&) = delete; void close(); };\n"
                                       "auto p = std::unique_ptr<S>(new S(1));\n")
        self.assertFalse(self.findings("banned"))

    def test_a_file_without_an_opening(self):
        self.write("src/base/x.hpp", "int f();\n")
        self.assert_reported("openings", "src/base/x.hpp", "comment")
        self.assert_reported("openings", "src/base/x.hpp", "#pragma once")


class Built(Case):
    def setUp(self):
        super().setUp()
        self.build = self.root / "build"

    def build_core(self, source):
        self.write("src/core/step.cc", source)
        self.compile("src/core/step.cc", "build/CMakeFiles/abide_core.dir/src/core/step.cc.o", "-c", "-O1")

    def build_base(self):
        (self.root / "src/base/word.cc").write_text("// x\nint unused;\n")
        self.compile("src/base/word.cc", "build/CMakeFiles/abide_base.dir/src/base/word.cc.o", "-c")

    def test_a_pure_object_file_passes(self):
        self.build_base()
        self.build_core(CLEAN["src/core/step.cc"])
        self.assertFalse(self.findings("purity", self.build))

    def test_a_pure_folder_reads_the_clock_the_environment_or_the_disk(self):
        self.build_base()
        for code, symbol in (("#include <ctime>\nlong f() { return std::time(nullptr); }", "time"),
                             ("#include <chrono>\nlong f() { return std::chrono::steady_clock::now().time_since_epoch().count(); }",
                              "steady_clock"),
                             ("#include <cstdlib>\nchar* f() { return std::getenv(\"A\"); }", "getenv"),
                             ("#include <cstdlib>\nint f() { return std::rand(); }", "rand"),
                             ("#include <unistd.h>\nlong f(char* b) { return read(0, b, 1); }", "read"),
                             ("#include <iostream>\nvoid f() { std::cout << 1; }", "cout"),
                             ("#include <cerrno>\nint f() { return errno; }", "__errno_location")):
            self.build_core("// x\n" + code + "\n")
            self.assert_reported("purity", "src/core/step.cc", symbol, self.build)

    def test_the_manager_calls_the_kernel_itself(self):
        for code, symbol in (("#include <fcntl.h>\nint f() { return open(\"x\", O_CLOEXEC); }", "open"),
                             ("#include <csignal>\nint f() { return kill(1, 0); }", "kill"),
                             ("#include <filesystem>\nbool f() { return std::filesystem::exists(\"x\"); }", "filesystem")):
            self.write("src/manager/x.cc", "// x\n" + code + "\n")
            self.compile("src/manager/x.cc", "build/CMakeFiles/abide_manager.dir/src/manager/x.cc.o", "-c")
            self.assert_reported("syscalls", "src/manager/x.cc", symbol, self.build)
        self.write("src/manager/x.cc", "// x\n#include <csignal>\nint f() { return SIGTERM; }\n")
        self.compile("src/manager/x.cc", "build/CMakeFiles/abide_manager.dir/src/manager/x.cc.o", "-c")
        self.assertFalse(self.findings("syscalls", self.build))

    def test_the_anchor_grows_or_learns_a_system_call(self):
        self.assertFalse(self.findings("anchor"))
        self.write("tools/anchor_calls.txt", "# x\nread   y\n")
        self.write("src/anchor/x.cc", "// x\nlong f() { return call(__NR_read); }\n" + "\n// c\n" * 2000)
        self.assertFalse(self.findings("anchor"))
        self.write("src/anchor/x.cc", "// x\nlong f() { return call(__NR_read) + call(__NR_mount); }\n")
        self.assert_reported("anchor", "src/anchor/x.cc", "mount")
        self.write("src/anchor/x.cc", "// x\nint f();\n")
        self.assert_reported("anchor", "tools/anchor_calls.txt", "does not make")
        self.write("src/anchor/x.cc", "// x\nlong f() { return call(__NR_read); }\n" + "int g();\n" * 1500)
        self.assert_reported("anchor", "src/anchor", "at most 1500")
        self.write("src/anchor/x.cc", '// x\nlong f() { asm("syscall"); return call(__NR_read); }\n')
        self.assert_reported("anchor", "src/anchor/x.cc", "beside")

    def test_a_page_that_names_a_test_which_is_not_there(self):
        self.write("tests/system/x_test.py", "def test_there():\n    pass\n")
        self.write("tests/unit/x_test.cc", "TEST(Word, IsOne) {}\n")
        self.write("docs/matrix.md", "| running | is stopped |\n")
        self.write("docs/upstart-matrix.md", '| a | b | `test_there`, "running" |\n| c | d | × "is stopped" |\n| e | f | `Word.IsOne` |\n')
        self.assertFalse(self.findings("proofs"))
        self.write("docs/x.md", "See `test_gone` and `Word.IsTwo`.\n")
        self.assert_reported("proofs", "docs/x.md", "test_gone")
        self.assert_reported("proofs", "docs/x.md", "Word.IsTwo")
        self.write("docs/upstart-matrix.md", '| a | b | "flying" |\n| c | d | it is well |\n')
        self.assert_reported("proofs", "docs/upstart-matrix.md", "flying")
        self.assert_reported("proofs", "docs/upstart-matrix.md", "no test")

    def test_a_script_that_a_page_tells_to_run_and_nobody_can(self):
        self.write("tests/run.py", "#!/usr/bin/env python3\n")
        self.write("docs/x.md", "`A=1 tests/run.py fast` runs it.\n")
        self.assert_reported("commands", "docs/x.md", "not executable")
        (self.root / "tests/run.py").chmod(0o755)
        self.assertFalse(self.findings("commands"))

    def test_a_command_that_a_list_of_commands_lacks(self):
        app = 'add_command(app, line, "up", "x");\nadd_command(app, line, enable ? "enable" : "disable", "x");\n' \
              '    {"start", control::Method::start, "x"},\napp.add_subcommand("oci", "x");\n'
        lists = {"docs/reference.md": "### abide up [NAME]\n### abide enable|disable NAME\n### abide start NAME\n"
                                      "### abide oci event ID\n### abide init\n",
                 "packaging/completions/abide.bash": "    local commands='up enable disable start\n        oci'\n",
                 "packaging/completions/abide.fish": "set -l commands up enable disable \\\n    start oci\n",
                 "packaging/completions/_abide": "    commands=(\n        'up:x'\n        'enable:x'\n        'disable:x'\n"
                                                 "        'start:x'\n        'oci:x'\n    )\n"}
        self.write("src/cli/app.cc", app)
        for name, text in lists.items():
            self.write(name, text)
        self.assertFalse(self.findings("command-names"))
        for name, text in lists.items():
            self.write(name, text.replace("start", "begin"))
            self.assert_reported("command-names", name, "lacks the command start")
            self.assert_reported("command-names", name, "no command begin")
            self.write(name, text)
        self.write("src/cli/app.cc", app + 'add_command(app, line, "down", "x");\n')
        for name in lists:
            self.assert_reported("command-names", name, "lacks the command down")

    def test_the_manager_that_was_not_built(self):
        self.write("src/manager/x.cc", "// x\n")
        self.assert_reported("syscalls", "src/manager", "build first", self.build)

    def test_a_pure_folder_that_was_not_built(self):
        self.assert_reported("purity", "src/core", "build first", self.build)

    def test_the_tiny_program(self):
        good = "// x\nextern \"C\" [[noreturn]] void _start() { for (;;) asm volatile(\"pause\"); }\nint a, b, c, d, e, g;\n"
        self.write("src/programs/tiny.cc", good)
        self.compile("src/programs/tiny.cc", "build/bin/abide", "-nostdlib", "-static", "-no-pie", "-fno-exceptions",
                     "-fno-stack-protector")
        self.assertFalse(self.findings("tiny", self.build))
        self.write("src/programs/tiny.cc", "// x\n#include <vector>\nint main(int n, char**) { return std::vector<int>(n)[0]; }\n")
        self.compile("src/programs/tiny.cc", "build/bin/abide", "-static")
        self.assert_reported("tiny", "bin/abide", "malloc", self.build)
        self.compile("src/programs/tiny.cc", "build/bin/abide")
        self.assert_reported("tiny", "bin/abide", "program interpreter", self.build)
        self.assert_reported("tiny", "bin/abide", "operator new", self.build)

    def test_the_tiny_program_is_missing(self):
        self.assert_reported("tiny", "bin/abide", "build first", self.build)

    def test_a_header_that_needs_another_first(self):
        self.assertFalse(self.findings("headers", self.build))
        self.write("src/base/x.hpp", "// x\n#pragma once\ninline std::string f();\n")
        self.assert_reported("headers", "src/base/x.hpp", "alone", self.build)
        self.assert_reported("headers", "src/base/x.hpp", "alone", self.build)  # a bad one is not remembered as good

    def test_a_header_is_checked_again_when_what_it_includes_changes(self):
        self.assertFalse(self.findings("headers", self.build))
        self.write("src/base/word.hpp", "// x\n#pragma once\nint word(;\n")
        self.assert_reported("headers", "src/core/step.hpp", "alone", self.build)


class Names(unittest.TestCase):
    def test_every_rule_has_a_sentence(self):
        for name, rule in {**tidy.TEXT_RULES, **tidy.BUILD_RULES}.items():
            self.assertTrue(rule.__doc__, name)

    def test_blanking_keeps_lines_and_columns(self):
        text = 'a = "x // y"; // "z\nb = R"(1\n{2)"; c = \'"\'; d = 1\'000;\n'
        code = tidy_text.blank(text)
        self.assertEqual([len(a) for a in text.split("\n")], [len(a) for a in code.split("\n")])
        self.assertNotIn("{", code)
        self.assertIn("d = 1'000;", code)


if __name__ == "__main__":
    outcome = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)
