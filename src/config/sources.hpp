// config/sources.hpp -- which files make up a configuration, merged into one set of tables.
//
// Owns includes, services/*.toml and drop-ins.  Knows no meaning of a key but whether a drop-in merges into it.
// Invariant: every value keeps the position of the file it came from.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/read.hpp"
#include "config/report.hpp"
#include "config/value.hpp"

namespace abide::config {

struct ServiceTable {
    Value table;
    Position position;  // of its name
};

class Sources {
  public:
    Sources(FileView& files, const LoadContext& context, Report& report)
        : files_(files), context_(context), report_(report), reader_(report, context) {}

    // A file named by the user, with all that belongs to it.
    void add_entry(const std::string& path);
    // A text that may contain services only.
    void add_text(const std::string& name, std::string_view text);
    // A file that is read while loading but isn't TOML.  The position is where it was named.
    bool read_other(const std::string& path, bool may_be_missing, Position named_at, std::string& text,
                    std::uint32_t& index);

    // Every file that was read.
    const std::vector<std::string>& read() const { return read_; }
    // Could every file be read and parsed?  If not, a name that isn't known may be in one of those.
    bool complete() const { return complete_; }
    const Value& project() const { return project_; }
    const Value& control() const { return control_; }
    const Value& events() const { return events_; }
    const std::map<std::string, ServiceTable>& services() const { return services_; }

  private:
    enum class Role { definition, drop_in, text };

    void add_file(const std::string& path, Role role, Position named_at, bool may_be_missing);
    void add_folder(const std::string& folder, Role role);
    void add_document(Value root, Role role, const std::string& path);
    void add_includes(const Value& list, Role role, const std::string& path);
    void add_services(Value table, Role role);
    template <class Row>
    void merge(std::span<const Row> rows, Value& base, Value table, Role role);
    bool count_file(Position named_at);
    // Something is missing from now on.
    void incomplete(Position position, std::string text, std::string advice);
    bool parse(std::string_view text, std::uint32_t index, Value& root);

    FileView& files_;
    const LoadContext& context_;
    Report& report_;
    Reader reader_;
    Value project_, control_, events_;
    std::map<std::string, ServiceTable> services_;
    std::set<std::string> seen_;          // paths, folded
    std::vector<std::string> including_;  // the chain of files being read
    std::vector<std::string> read_;
    bool complete_ = true;
    std::size_t count_ = 0;
};

// The rows of the file itself.
extern const std::span<const KeyInfo> kDocumentKeys;

}  // namespace abide::config
