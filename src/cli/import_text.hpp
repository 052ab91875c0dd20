// cli/import_text.hpp -- what the importers share: reading INI files, words with marks, and writing abide.toml.
//
// A word of an imported command is text with marks in it for what Abide puts in later (the instance, a variable); they
// are control bytes, which no checked input contains.  Only the functions below turn them into abide.toml's spelling.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/import.hpp"

namespace abide::cli {

inline constexpr char kInstanceMark = '\x01';  // the instance of a template
inline constexpr char kValueMark = '\x02';     // then a name and kEndMark: the variable's value, or nothing
inline constexpr char kSplitMark = '\x03';     // the same, a word of its own: split at blanks, none if it is empty
inline constexpr char kNeededMark = '\x04';    // as kValueMark, but it must be set
inline constexpr char kEndMark = '\x05';

struct IniEntry {
    std::string key, value;
    std::size_t line = 0;
};
struct IniSection {
    std::string name;
    std::size_t line = 0;
    std::vector<IniEntry> entries;
};
// systemd: `\` at a line's end goes on.  supervisord: an indented line goes on, `:` is `=`, ` ;` and ` #` begin a
// comment, keys are in lower case.
enum class IniDialect { systemd, supervisord };
Result<std::vector<IniSection>> read_ini(const ImportSource& source, IniDialect dialect);

// UTF-8, no control characters but tabs and line ends, and not too long.
Status check_source(const ImportSource& source);
std::string place_of(std::string_view file, std::size_t line);

// In double quotes, escaped.
std::string toml_string(std::string_view text);
std::string toml_list(const std::vector<std::string>& written);
// As a name in a table's header or as a key.
std::string toml_key(std::string_view name);
// Where `$` and `%` have a meaning (commands, values of variables, probes), and where only `%` has (directories,
// dependencies).
std::string expandable(std::string_view word);
std::string substituted(std::string_view word);
bool has_marks(std::string_view word);
// A list of words; by a shell when a variable stands for several.
std::string command_value(const std::vector<std::string>& words);
bool is_variable(std::string_view name);
// As abide.toml takes it: up to four octal digits, of four the first a zero.
bool is_umask(std::string_view text);

// An abide.toml that is written table by table, with its notes.
class ImportWriter {
  public:
    explicit ImportWriter(const std::vector<ImportSource>& sources);

    // What is said from now on is of this file.
    void enter(std::string_view file) { file_ = file; }
    // Fails for a bad or reserved name, and for one that was given already.
    Status begin(std::string_view name, std::size_t line);
    void set(std::string_view key, std::string_view value);
    void set_text(std::string_view key, std::string_view text) { set(key, toml_string(text)); }
    void comment(std::string_view text);
    // A note, and a comment here.
    void note(std::size_t line, std::string_view what);
    void leave_out(const IniEntry& entry, std::string_view why);
    Imported finish() &&;

  private:
    std::string file_;
    std::string text_;
    std::set<std::string, std::less<>> names_;
    std::vector<std::string> notes_;
};

}  // namespace abide::cli
