"""Rules that need nothing but the text of the sources.

Each rule is a function (tree) -> list of Finding.  A rule never changes anything.
"""
import re
from collections import namedtuple
from pathlib import Path

Finding = namedtuple("Finding", "file line text")

CODE_FOLDERS = ("src", "include", "sim", "tests", "bench", "examples")
SUFFIXES = (".cc", ".hpp", ".h")
PURE = ("base", "model", "core", "config", "journal", "protocol")
SYSTEM_FOLDERS = ("kernel", "anchor", "hold")

FILE_LINES = 600
FUNCTION_LINES = 70
LINE_COLUMNS = 120

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
# fcntl.h and signal.h are let through for their constants; rule `syscalls` sees who calls what they declare.
SYSTEM_HEADER = re.compile(
    r"^(sys/(?!types\.h)|linux/|asm/|asm-generic/|net/|netinet/|arpa/|bits/|unistd\.h|poll\.h|sched\.h|dirent\.h|"
    r"pwd\.h|grp\.h|netdb\.h|spawn\.h|termios\.h|mqueue\.h|pthread\.h|syscall\.h|wait\.h|dlfcn\.h|ftw\.h|glob\.h|"
    r"time\.h|thread$|mutex$|filesystem$|fstream$)")
IMPURE_HEADER = re.compile(r"^(iostream|fstream|sstream|iosfwd|ostream|istream|chrono|random|thread|mutex|future|atomic|"
                           r"condition_variable|filesystem|ctime|csignal|unordered_(map|set))$")

CALL = r"(?<![\w.>:])(?:::)?"  # a function of no class and no namespace
CLOEXEC = [
    # call, flag that must stand in the same statement
    (re.compile(CALL + r"open(?:at|at2)?\s*\("), "O_CLOEXEC"),
    (re.compile(CALL + r"(?:socket|socketpair)\s*\("), "SOCK_CLOEXEC"),
    (re.compile(CALL + r"accept4\s*\("), "SOCK_CLOEXEC"),
    (re.compile(CALL + r"pipe2\s*\("), "O_CLOEXEC"),
    (re.compile(CALL + r"epoll_create1\s*\("), "EPOLL_CLOEXEC"),
    (re.compile(CALL + r"memfd_create\s*\("), "MFD_CLOEXEC"),
    (re.compile(CALL + r"inotify_init1\s*\("), "IN_CLOEXEC"),
    (re.compile(CALL + r"timerfd_create\s*\("), "TFD_CLOEXEC"),
    (re.compile(CALL + r"eventfd\s*\("), "EFD_CLOEXEC"),
    (re.compile(CALL + r"signalfd\s*\("), "SFD_CLOEXEC"),
    (re.compile(CALL + r"recvmsg\s*\("), "MSG_CMSG_CLOEXEC"),
    (re.compile(r"\w+\s*\(\s*(?:SYS|__NR)_(?:open|openat|openat2|socket|socketpair|accept4|pipe2|epoll_create1|memfd_create|"
                r"inotify_init1|timerfd_create|eventfd2|signalfd4|recvmsg)\b"), "CLOEXEC"),
]
# These have no way to ask for it.
NEVER_CLOEXEC = re.compile(CALL + r"(accept|pipe|epoll_create|inotify_init|creat|dup|fopen)\s*\(")

BANNED = [
    (re.compile(CALL + r"close\s*\("), "naked close(: descriptors are closed by kernel/fd"),
    (re.compile(r"(?<![\w.])new\s+[A-Za-z_:(]"), "naked new: use a container or std::make_unique"),
    (re.compile(r"(?<!= )(?<![\w.])delete(\[\])?\s+[A-Za-z_:(*]"), "naked delete: use an owner"),
    (re.compile(r"(?<![\w.>])(?:std::)?(malloc|calloc|realloc)\s*\("), "C allocation: use a container"),
    (re.compile(r"(?<![\w.>])(?:std::)?(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\("), "unbounded C string function"),
    (re.compile(r"(?<![\w.>])(?:std::)?(system|popen)\s*\("), "runs a shell"),
    (re.compile(r"(?<![\w.>])(?:std::)?(atoi|atol|atoll|strtol|strtoul|strtoll|strtoull)\s*\("),
     "number parser that hides errors: use base/text or std::from_chars"),
    (re.compile(r"(?<![\w.>])(usleep|sleep)\s*\("), "sleeps: wait for the event"),
    (re.compile(r"\busing\s+namespace\s+std\b"), "using namespace std"),
    (re.compile(r"\bcatch\s*\(\s*\.\.\.\s*\)"), "catch (...): name the type at the boundary"),
]
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


class Tree:
    """The sources below one root, read once; comments and literals blanked on demand."""

    def __init__(self, root):
        self.root = Path(root)
        self.text = {}
        for folder in CODE_FOLDERS:
            base = self.root / folder
            if base.is_dir():
                for path in sorted(base.rglob("*")):
                    if path.suffix in SUFFIXES and path.is_file():
                        self.text[path.relative_to(self.root).as_posix()] = path.read_text(encoding="utf-8")
        self._code = {}

    def files(self, *folders):
        return [name for name in self.text if name.split("/")[0] in folders] if folders else list(self.text)

    def room(self, name):
        """The folder of src/ that a file is in, or None."""
        parts = name.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else None

    def code(self, name):
        if name not in self._code:
            self._code[name] = blank(self.text[name])
        return self._code[name]

    def includes(self, name):
        for number, line in enumerate(self.text[name].splitlines(), 1):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1), found.group(2)

    def resolve(self, name, include):
        beside = (Path(name).parent / include).as_posix()
        for candidate in ("src/" + include, "include/" + include, beside, "tests/" + include):
            if candidate in self.text:
                return candidate
        return None


LITERAL = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
                     re.S)


def blank(text):
    """Comments and the insides of literals as spaces, so that lines and columns stay."""
    def hide(match):
        found = match.group(0)
        keep = '"' if found[0] in 'R"' else "'" if found[0] == "'" else " "
        inner = "".join("\n" if c == "\n" else " " for c in found[1:-1])
        return keep + inner + (keep if len(found) > 1 else "")
    return LITERAL.sub(hide, text)


def read_layers(root):
    layers = {}
    for line in (Path(root) / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, allowed = line.partition(":")
            layers[folder.strip()] = set(allowed.split())
    return layers


def rule_layers(tree):
    """A folder of src/ includes only what tools/layers.txt allows; src/programs includes anything."""
    layers, found = read_layers(tree.root), []
    for name in tree.files("src"):
        room = tree.room(name)
        if room is None or room == "programs":
            continue
        if room not in layers:
            found.append(Finding(name, 1, f"folder {room} is not in tools/layers.txt"))
            continue
        for line, quote, include in tree.includes(name):
            if quote != '"':
                continue
            target = tree.resolve(name, include)
            if target is None:
                found.append(Finding(name, line, f'"{include}" is not in src/ or include/'))
                continue
            other = tree.room(target)
            if other is not None and other != room and other not in layers[room]:
                found.append(Finding(name, line, f"{room} may not include {other} ({include})"))
    for name in tree.files("sim"):
        for line, quote, include in tree.includes(name):
            target = tree.resolve(name, include) if quote == '"' else None
            if target and tree.room(target) in ("kernel", "anchor", "manager", "logger", "cli"):
                found.append(Finding(name, line, f"the simulator may not include {tree.room(target)} ({include})"))
    return found


def rule_system_headers(tree):
    """Kernel and POSIX headers only in src/kernel, src/anchor and src/hold."""
    found = []
    for name in tree.files("src", "sim"):
        room = tree.room(name)
        if room in SYSTEM_FOLDERS:
            continue
        for line, quote, include in tree.includes(name):
            if quote == "<" and SYSTEM_HEADER.match(include):
                found.append(Finding(name, line, f"<{include}> outside src/kernel, src/anchor and src/hold"))
    return found


def rule_pure_headers(tree):
    """Pure folders include no streams, clocks, randomness, threads or hash-ordered containers."""
    found = []
    for name in tree.files("src"):
        if tree.room(name) in PURE:
            for line, quote, include in tree.includes(name):
                if quote == "<" and IMPURE_HEADER.match(include):
                    found.append(Finding(name, line, f"<{include}> in a pure folder"))
    return found


def rule_cycles(tree):
    """No header includes itself, directly or around a corner."""
    edges = {}
    for name in tree.files():
        targets = (tree.resolve(name, include) for _, quote, include in tree.includes(name) if quote == '"')
        edges[name] = [t for t in targets if t]
    found, done = [], set()
    for start in edges:
        stack, path = [(start, iter(edges[start]))], [start]
        if start in done:
            continue
        while stack:
            target = next(stack[-1][1], None)
            if target is None:
                done.add(stack.pop()[0])
                path.pop()
            elif target in path:
                ring = path[path.index(target):] + [target]
                found.append(Finding(path[-1], 1, "include cycle: " + " -> ".join(ring)))
            elif target not in done:
                stack.append((target, iter(edges[target])))
                path.append(target)
    return found


def functions(code):
    """(line, length, head) of every function body.  A plain brace matcher: no templates are understood, only blocks."""
    result, stack, head, head_line, line = [], [], "", 1, 1
    inside = 0          # depth of function bodies
    carry = None        # first line of a constructor whose member initialisers use braces
    parens = 0
    for char in code:
        if char == "\n":
            line += 1
            if not head.strip():
                head = ""
            else:
                head += " "
            continue
        if char == "(":
            parens += 1
        elif char == ")":
            parens = max(0, parens - 1)
        if char == "{":
            text = re.sub(r"#\s*(define|if|ifdef|ifndef|endif|else|include|pragma)\b.*?  ", "", head).strip()
            scope = re.search(r"^(inline\s+)?(namespace|extern)\b|\b(struct|class|union|enum)\b(?!.*\))", text)
            carried = carry is not None and (not text or text.startswith(","))
            body = not inside and not scope and ("(" in text or carried)
            kind = "function" if body and not text.endswith("=") else "block"
            stack.append((kind, carry if carried else head_line, text, carried))
            inside += kind == "function"
            carry, head, head_line = None, "", line
        elif char == "}":
            if stack:
                kind, first, text, carried = stack.pop()
                if kind == "function":
                    inside -= 1
                    result.append((first, line - first + 1, text))
                    # Only a constructor's member initialisers go on behind a closing brace.
                    goes_on = carried and text or re.search(r"\)\s*(noexcept\s*)?:(?!:)", text)
                    carry = first if goes_on else None
            head, head_line = "", line
        elif char == ";" and not parens:
            head, head_line, carry = "", line, None
        else:
            if not head.strip() and not char.isspace():
                head_line = line
            head += char
    return result


def read_ratchet(root):
    """file -> (lines, longest function) that is tolerated; may only shrink."""
    path, ratchet = Path(root) / "tools/ratchet.txt", {}
    if path.exists():
        for line in path.read_text().splitlines():
            line = line.split("#")[0].split()
            if line:
                ratchet[line[0]] = (int(line[1]), int(line[2]))
    return ratchet


def rule_sizes(tree):
    """Files of at most 600 lines, functions of at most 70, lines of at most 120 columns; see tools/ratchet.txt."""
    ratchet, found = read_ratchet(tree.root), []
    for name in tree.files():
        lines = tree.text[name].splitlines()
        file_limit, function_limit = ratchet.get(name, (FILE_LINES, FUNCTION_LINES))
        if len(lines) > file_limit:
            found.append(Finding(name, len(lines), f"{len(lines)} lines, the limit is {file_limit}"))
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS:
                found.append(Finding(name, number, f"{len(line)} columns, the limit is {LINE_COLUMNS}"))
        longest = 0
        for first, length, _ in functions(tree.code(name)):
            longest = max(longest, length)
            if length > function_limit:
                found.append(Finding(name, first, f"function of {length} lines, the limit is {function_limit}"))
        if name in ratchet:
            best = (max(len(lines), FILE_LINES), max(longest, FUNCTION_LINES))
            if best < ratchet[name] or best == (FILE_LINES, FUNCTION_LINES):
                found.append(Finding("tools/ratchet.txt", 1, f"{name} has shrunk to {best[0]} {best[1]}: lower its entry"))
    for name in ratchet:
        if name not in tree.text:
            found.append(Finding("tools/ratchet.txt", 1, f"{name} is gone: remove its entry"))
    return sorted(found, key=lambda finding: "columns" in finding.text)


def statement(code, start):
    """From a call's name to its closing parenthesis."""
    depth = 0
    for at in range(code.index("(", start), min(len(code), start + 4000)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return code[start:at + 1]
    return code[start:start + 4000]


DECLARES = re.compile(r"[\w>&*\]]\s+[&*]?$")
CALLERS = re.compile(r"\b(return|co_return|else|case|throw|do)\s+$")


def is_call(code, at):
    """Not a declaration or definition of a function by that name: those follow a type."""
    before = code[max(0, at - 60):at]
    return not DECLARES.search(before) or bool(CALLERS.search(before))


def rule_cloexec(tree):
    """Every descriptor is close-on-exec from birth."""
    found = []
    for name in tree.files("src"):
        if tree.room(name) not in SYSTEM_FOLDERS:
            continue
        code, lines = tree.code(name), tree.text[name].splitlines()
        for pattern, flag in CLOEXEC:
            for match in pattern.finditer(code):
                line = code.count("\n", 0, match.start()) + 1
                words = tree.text[name][match.start():match.start() + len(statement(code, match.start()))]
                if not re.search(r"\b(O|SOCK|EPOLL|MFD|IN|TFD|EFD|SFD|MSG|kO)_[A-Z]", words):
                    words += "\n".join(lines[max(0, line - 7):line])  # the flags have a name of their own, made just before
                if is_call(code, match.start()) and flag not in words.upper() and "tidy: cloexec" not in lines[line - 1]:
                    found.append(Finding(name, line, f"{match.group(0).strip(' (')} without {flag}"))
        for match in NEVER_CLOEXEC.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            if is_call(code, match.start()) and "tidy: cloexec" not in lines[line - 1]:
                found.append(Finding(name, line, f"{match.group(1)} can't set close-on-exec"))
    return found


def rule_banned(tree):
    """Words that have a better way here; nothing unfinished anywhere."""
    found = []
    for name in tree.files():
        if name.startswith(("src/", "include/")):
            code = tree.code(name)
            owner_of_close = Path(name).stem in ("fd", "syscall", "syscalls", "sys", "raw")
            for pattern, why in BANNED:
                if "close(" in why and (owner_of_close or tree.room(name) not in SYSTEM_FOLDERS):
                    continue  # elsewhere it is a word of their own: rules `purity` and `syscalls` see the symbols
                for match in pattern.finditer(code):
                    if why.startswith("naked new") and "unique_ptr<" in code[code.rfind("\n", 0, match.start()):match.start()]:
                        continue  # a private constructor: owned in the same statement
                    if is_call(code, match.start()) or match.group(0).startswith(("using", "catch", "new", "delete")):
                        found.append(Finding(name, code.count("\n", 0, match.start()) + 1, why))
        for number, line in enumerate(tree.text[name].splitlines(), 1):
            if UNFINISHED.search(line):
                found.append(Finding(name, number, "unfinished work"))
    return found


def rule_headers_of_files(tree):
    """Each file opens with a comment that says what it owns; each header has #pragma once."""
    found = []
    for name in tree.files("src", "include", "sim"):
        if not tree.text[name].startswith("//"):
            found.append(Finding(name, 1, "opens without a comment"))
        if name.endswith((".hpp", ".h")) and "#pragma once" not in tree.text[name]:
            found.append(Finding(name, 1, "has no #pragma once"))
    return found


TEXT_RULES = {
    "layers": rule_layers,
    "system-headers": rule_system_headers,
    "pure-headers": rule_pure_headers,
    "cycles": rule_cycles,
    "sizes": rule_sizes,
    "cloexec": rule_cloexec,
    "banned": rule_banned,
    "openings": rule_headers_of_files,
}
