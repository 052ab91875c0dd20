// config/reference.cc -- the table of keys as a page for people.
#include "base/text.hpp"
#include "config/keys.hpp"

namespace abide::config {

namespace {

constexpr std::string_view kOpening = R"(# abide.toml

This page is made from the table of keys that the parser uses; `./test.sh` fails when they differ.

A duration is a string of whole numbers with `ns`, `us`, `ms`, `s`, `m`, `h` or `d` ("250ms", "1m30s"), or "0". A
size is a string too: bytes, or a number with `K`, `M`, `G` or `T`, which are powers of 1024. A command is a list of
words, or a string that is split as a shell splits words; no shell runs, so an unquoted operator (`|`, `;`, `&`,
`<`, `>`, backquote, `$(`) is an error.

`${NAME}` and `${NAME:-default}` are replaced when a process is started: in commands, values of variables, probes
and socket addresses, from the environment of the service. `$$` is a dollar sign, and so is a `$` before anything
but `{`. A variable that isn't set and has no default is an error of the start. In a command that is a string,
single quotes keep a `$` from being replaced.

In the instances of a template (`[services."NAME@"]`), `%i` is the instance and `%%` a percent sign.

Paths that are read while loading (`include`, `environment-file`) are relative to the file that names them.
`directory` is relative to the project, and paths of sockets, pid files and probes are relative to the service's
directory.

An environment file has one `KEY=VALUE` a line. Lines that begin with `#` or `;` are comments; `export ` before the
name is allowed. A value may be quoted: in single quotes all is literal, in double quotes `\n`, `\t`, `\r`, `\\`,
`\"`, `\$` and `` \` `` are escapes, and a quoted value may go over several lines. Nothing in such a file is
replaced.

A service inherits the whole environment of the `abide up` that started the instance, secrets of that shell
included, also under another `user`; services of the machine's instance (`--system`) get only `PATH` and
`LANG=C.UTF-8`, unless it is process 1 or `--init`. `abide up` on an instance that is up changes nothing of it. Then
come, each overriding what was before: a `PATH` where there is none; `HOME`, `SHELL`, `USER` and `LOGNAME` with
`user`; `ABIDE_SERVICE` and `ABIDE_RUN`; `[project] environment`, the service's own `environment`, and environment
files; and what the service's notify socket, sockets and watchdog need. To keep a variable from services, start the
instance without it (`env -u NAME abide up`, `env -i`).

Files that are read while loading must be regular ones, or the null device, which is an empty one; a FIFO is an error.

Files named `abide.d/*.toml` beside `abide.toml` are *drop-ins*, read last in the order of their names. They may
define services, and of a service that exists they replace single keys; of the keys marked *merges*, single members.
User and system instances also read `services/*.toml`.
)";

std::string cell(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '|') escaped += '\\';
        escaped += c;
    }
    return escaped;
}

std::string value_of(const KeyInfo& key) {
    if (key.choices.empty()) {
        std::string text(describe(key.shape));
        if (key.shape == Shape::integer || key.shape == Shape::number) {
            text += ", " + std::to_string(key.min) + " to " + std::to_string(key.max);
        }
        return text;
    }
    std::string text;
    for (const std::string_view choice : split(key.choices, '|')) {
        if (!text.empty()) text += ", ";
        text += "`\"" + std::string(choice) + "\"`";
    }
    if (key.shape == Shape::choice_or_table) text += " or a table";
    return text;
}

void write_table(const TableInfo& table, std::string& page) {
    std::string later;
    page += "\n## " + std::string(table.title) + "\n" + std::string(table.doc) +
            "\n\n| key | value | default | meaning |\n|---|---|---|---|\n";
    for (const KeyInfo& key : table.keys) {
        if (key.later) {
            later += (later.empty() ? "`" : ", `") + std::string(key.name) + "`";
            continue;
        }
        std::string fallback = key.fallback.empty() ? "" : "`" + std::string(key.fallback) + "`";
        if (key.required) fallback = "*needed*";
        page += "| `" + std::string(key.name) + "` | " + cell(value_of(key)) + " | " + cell(fallback) + " | " +
                cell(key.doc) + (key.merges ? " *Merges.*" : "") + " |\n";
    }
    if (!later.empty()) page += "\nReserved for later versions, and refused by this one: " + later + ".\n";
}

}  // namespace

std::string reference_markdown() {
    std::string page(kOpening);
    for (const TableInfo& table : all_tables()) write_table(table, page);
    return page;
}

}  // namespace abide::config
