// cli/import_unit.hpp -- one systemd unit file as it was read: its keys, its specifiers, its command lines.
//
// Knows systemd's spelling and nothing of abide.toml.  What it gives has the marks of import_text.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "cli/import_text.hpp"

namespace abide::cli {

// What stands before the program of ExecStart= and its like.
struct UnitCommand {
    std::vector<std::string> words;
    std::size_t line = 0;
    bool may_fail = false;                // -
    bool literal = false;                 // :
    bool privileged = false;              // + and !
    std::optional<std::string> own_name;  // @: argv[0]
};

class Unit {
  public:
    // `file` is a path; the unit's name is its last part.
    Unit(std::string file, std::vector<IniSection> sections);

    const std::string& file() const { return file_; }
    const std::string& name() const { return name_; }  // with the suffix
    std::string stem() const { return name_.substr(0, name_.rfind('.')); }
    bool is_template() const { return stem().ends_with('@'); }

    // Both mark the key as used.  An empty assignment forgets those before it.
    const IniEntry* last(std::string_view section, std::string_view key);
    std::vector<const IniEntry*> all(std::string_view section, std::string_view key);
    // Each with its section.
    std::vector<std::pair<std::string, const IniEntry*>> unused() const;
    bool has_section(std::string_view section) const;

    // Specifiers replaced; `unknown` gets those that stay as they stand.
    std::string replaced(std::string_view text, std::vector<std::string>& unknown) const;

  private:
    struct Used {
        std::string section;
        IniEntry entry;
        bool used = false;
    };
    std::string file_, name_;
    std::vector<std::string> sections_;
    std::vector<Used> entries_;
};

// Words of a line, quotation marks and escapes taken off; nullopt: an open quotation, or an escape that isn't known
// here. A `;` that stands alone is the word kSeparator.
inline constexpr std::string_view kSeparator = "\x06";
std::optional<std::vector<std::string>> unit_words(std::string_view text);
// The commands of one value of ExecStart=, variables and specifiers marked; nullopt: no command line.
std::optional<std::vector<UnitCommand>> unit_commands(const Unit& unit, std::string_view text,
                                                      std::vector<std::string>& unknown);
// "5min 20s", "90", "1.5s"; kForever for infinity.
std::optional<Duration> unit_time(std::string_view text);
// The signal of `kill -HUP $MAINPID`.
std::optional<int> kill_of_main(const UnitCommand& command);
std::optional<bool> unit_flag(std::string_view text);

}  // namespace abide::cli
