// config/keys.hpp -- the one table of keys, as data: what abide.toml may contain.
//
// The parser (config/tables.hpp), the JSON schema and the reference page are all driven by these rows, so that a key
// can't exist in one of them only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace abide::config {

// What a value may be.
enum class Shape {
    text,          // a string of one line
    path,          // a string that names a file or folder
    flag,          // true or false
    name,          // letters, digits, _ . -
    integer,       // between min and max
    number,        // integer or float between min and max
    duration,      // "250ms", "10s", "1m30s"
    size,          // "64M"
    signal,        // "TERM" or 15
    choice,        // one of `choices`, separated by |
    octal,         // "022"
    texts,         // list of strings
    services,      // list of names of services
    instances,     // list of instance names
    command,       // a list of words, or a string split as a shell splits words
    commands,      // list of commands
    dependencies,  // list of "NAME", "NAME:STAGE" or tables
    exits,         // list of exit codes and signals
    capabilities,  // list of capability names
    rlimit,        // integer, size, "unlimited" or {soft, hard}
    variables,     // table of strings
    table,         // a table of its own, see `table`
    tables,        // list of such tables
    duration_or_table,
    choice_or_table,
    named_tables,  // a table whose members are such tables
};

struct KeyInfo {
    std::string_view name{};
    Shape shape = Shape::text;
    std::string_view fallback{};  // the default as it would be written; empty: none
    std::string_view doc{};       // one sentence or two for the reference page
    std::string_view choices{};
    std::string_view table{};  // the nested table's name
    std::int64_t min = 0;
    std::int64_t max = 0;
    bool required = false;
    bool later = false;       // reserved: refused with "is not supported by this version"
    bool merges = false;      // a drop-in changes its members one by one, not the whole
    bool for_groups = false;  // has a meaning for kind = "group"
    bool positive = false;    // a duration or size that may not be 0
};

struct TableInfo {
    std::string_view name;  // "" is the file itself, then "project", "service", "ready", ...
    std::string_view title;
    std::string_view doc;
    std::vector<KeyInfo> keys;
};

// Every table, outermost first.
const std::vector<TableInfo>& all_tables();

// What a value of this shape is called in messages, such as `a duration such as "10s"`.
std::string_view describe(Shape shape);

// docs/abide.schema.json: JSON Schema (draft 07), for editors.  Ends with a newline.
std::string schema_json();
// docs/abide.toml.md: every table and key.
std::string reference_markdown();

}  // namespace abide::config
