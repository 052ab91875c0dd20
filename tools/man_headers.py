"""Pages of section 3 from the public headers of libabide: declarations, and the comments before them.

Understands the form of these headers and no C++: `///` before a declaration is its text, a blank line ends what one
text is about, `// ---- words` begins a section of a class, enumerations and structs are shown as they stand.
"""
import re

MARKS = re.compile(r"\bABIDE_API |\[\[nodiscard\]\] |^static (?=ABIDE_API)")
OPENS = re.compile(r"^(?:class|struct|enum class)\b[^;]*\{$")
# What every class has, and nobody looks for.
USUAL = re.compile(r"= (default|delete)|operator=|^~|^ABIDE_API ~")


def plain(declaration):
    """As one line, without marks, and without a body."""
    text = MARKS.sub("", " ".join(part.strip() for part in declaration))
    return re.sub(r"\s*(?::[^:{]*)?\{.*\}$", ";", text)


def statement(lines, at):
    """The lines from `at` on to the end of a declaration, and the place behind it."""
    taken, depth = [], 0
    while at < len(lines):
        code = lines[at].split("//")[0].rstrip()
        taken.append(lines[at])
        depth += code.count("{") + code.count("(") - code.count("}") - code.count(")")
        at += 1
        if depth <= 0 and code.endswith((";", "}")):
            break
    return taken, at


def sections(lines, format_text, code_block, heading, inside=False):
    """The page of the lines of a namespace or of a class."""
    out, text, at, follows = [], [], 0, False
    while at < len(lines):
        line = lines[at].strip()
        if line in ("private:", "};") and inside:
            break
        if line.startswith("///"):
            text.append(line[4:])
            at += 1
        elif inside and line.startswith("// ----"):
            out += [heading(line.strip("/- ").capitalize())]
            at += 1
        elif not line or line.startswith(("//", "#", "public:")):
            text, follows, at = (text, False, at + 1)
        elif line.startswith("namespace"):
            _, at = statement(lines, at)
        else:
            taken, behind = statement(lines, at)
            first = MARKS.sub("", line)
            if OPENS.match(line) and first.startswith(("class", "[[nodiscard]] class")):
                name = re.match(r"class (?:\[\[nodiscard\]\] |ABIDE_API )*(\w+)", line).group(1)
                out += [heading("class " + name), *format_text(text)]
                out += sections(taken[1:-1], format_text, code_block, heading, inside=True)
            elif OPENS.match(line):
                name = re.match(r"(?:struct|enum class) (\w+)", line).group(1)
                out += [heading(name), *format_text(text)]
                out += code_block([re.sub(r"///<?", "//", MARKS.sub("", code)) for code in taken])
            elif not re.match(r"(class|struct) \w+;$", line) and (text or not USUAL.search(line)):
                out += [".TQ" if follows and not text else ".TP", "\\fB" + plain(taken).replace("\\", "\\e") + "\\fR"]
                out += [part for part in format_text(text) if part != ".PP"] if text else []
                text, follows, at = [], True, behind
                continue
            text, follows, at = [], False, behind
    return out


def page(name, header, source, tools):
    """`tools`: escape, inline and code_block of man.py."""
    escape, inline, code_block = tools
    lines = source.splitlines()
    brief = lines[0].split(" -- ", 1)[1].rstrip(".")
    title, section = name.rsplit(".", 1)

    def format_text(text):
        out, at = [], 0
        while at < len(text):
            start, is_code = at, text[at].startswith("    ")
            while at < len(text) and text[at].strip() and text[at].startswith("    ") == is_code:
                at += 1
            if is_code:
                out += code_block([line[4:] for line in text[start:at]])
            elif at > start:
                out += [".PP", inline(" ".join(line.strip() for line in text[start:at]))]
            else:
                at += 1
        return out

    def heading(words):
        return f'.SS "{escape(words)}"'

    start = next(i for i, line in enumerate(lines) if line.startswith("#pragma"))
    opening = [line[3:] if line.startswith("// ") else line[2:] for line in lines[1:start]]
    begin = lines.index("namespace abide {") + 1
    end = max(i for i, line in enumerate(lines) if line.startswith("}  // namespace abide"))
    body = sections(lines[begin:end], format_text, code_block, heading)
    out = [f'.TH "{title.upper()}" "{section}" "" "abide" "Abide"', ".SH NAME", f"{escape(title)} \\- {escape(brief)}",
           ".SH SYNOPSIS", *code_block([f"#include <{header}>"]), ".SH DESCRIPTION", *format_text(opening), *body,
           ".SH SEE ALSO", inline("libabide(3)")]
    text = "\n".join(out).replace("\\-", "-") + "\n"
    for function in re.findall(r"ABIDE_API [^~;]*?\b(\w+)\(", source):
        if function not in text:
            raise SystemExit(f"{name}: {function}() of {header} got lost")
    return "\n".join(out) + "\n"
