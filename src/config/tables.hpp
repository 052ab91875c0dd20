// config/tables.hpp -- the rows of the table of keys with the function that reads each: what the parser walks.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/read.hpp"
#include "model/spec.hpp"

namespace abide::config {

// One row.  `read` stores the value in T; the row's KeyInfo says which type and bounds it has.
template <class T>
struct Key {
    KeyInfo info;
    void (*read)(Reader&, const KeyInfo&, const Value&, T&);
};

// A service while it is being read: what the model doesn't keep stands beside it.
struct Draft : model::ServiceSpec {
    std::vector<Position> dependency_positions;  // of `dependencies`, one each
    std::vector<Position> provides_positions;
    std::vector<std::pair<std::string, Position>> environment_files;
    std::vector<std::pair<std::string, Position>> instances;
    std::optional<bool> autostart_given;
    Position position;
};

struct ProjectDraft {
    model::InstanceSpec instance;
    std::string runtime;
    std::vector<model::Variable> environment;
};

extern const std::span<const Key<ProjectDraft>> kProjectKeys;
extern const std::span<const Key<model::InstanceSpec>> kControlKeys;
extern const std::span<const Key<model::EventsSpec>> kEventsKeys;
extern const std::span<const Key<Draft>> kServiceKeys;
extern const std::span<const Key<model::Dependency>> kDependencyKeys;
extern const std::span<const Key<model::ReadySpec>> kReadyKeys;
extern const std::span<const Key<model::HealthSpec>> kHealthKeys;
extern const std::span<const Key<model::StopSpec>> kStopKeys;
extern const std::span<const Key<model::ReloadSpec>> kReloadKeys;
extern const std::span<const Key<model::RestartSpec>> kRestartDelayKeys;
extern const std::span<const Key<model::RestartSpec>> kRestartLimitKeys;
extern const std::span<const Key<model::Limits>> kLimitKeys;
extern const std::span<const Key<model::ResourceLimit>> kResourceKeys;
extern const std::span<const Key<model::Sandbox>> kSandboxKeys;
extern const std::span<const Key<model::LogSpec>> kLogKeys;
extern const std::span<const Key<model::SocketSpec>> kSocketKeys;
extern const std::span<const Key<model::Oci>> kOciKeys;

// Reports what is no key of the table: unknown, or reserved for a later version.
void report_unknown(Reader& reader, const Member& member, std::span<const std::string_view> known);
void report_later(Reader& reader, const Member& member);

// Reads the members of a table by its rows.  False when it isn't a table.
template <class T>
bool read_table(Reader& reader, const KeyInfo& key, std::span<const Key<T>> rows, const Value& value, T& target) {
    if (!reader.expect(key, value, ValueType::table)) return false;
    for (const Member& member : value.members) {
        const auto row =
            std::ranges::find(rows, member.key, [](const Key<T>& candidate) { return candidate.info.name; });
        if (row == rows.end()) {
            std::vector<std::string_view> known;
            for (const Key<T>& candidate : rows) known.push_back(candidate.info.name);
            report_unknown(reader, member, known);
        } else if (row->info.later) {
            report_later(reader, member);
        } else {
            const Reader::Nest nest(reader, member.key);
            row->read(reader, row->info, member.value, target);
        }
    }
    for (const Key<T>& row : rows) {
        if (row.info.required && value.find(row.info.name) == nullptr) {
            reader.error(value.position, "missing key \"" + std::string(row.info.name) + "\"");
        }
    }
    return true;
}

// The usual row: the value goes into a member.
template <class T, auto M>
void into(Reader& reader, const KeyInfo& key, const Value& value, T& target) {
    if constexpr (requires { (target.*M).edit(); })
        reader.read(key, value, (target.*M).edit());
    else
        reader.read(key, value, target.*M);
}

// How the parts of a service are read (config/parts.cc): the table's rows, then what no row can say alone.
void read_ready(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_health(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_stop(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_reload(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_restart_delay(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_restart_limit(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_limits(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_sandbox(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_log(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_oci(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_sockets(Reader& reader, const KeyInfo& key, const Value& value, Draft& target);
void read_dependencies(Reader& reader, const KeyInfo& key, const Value& value, Draft& target, model::Relation relation);
void read_resource(Reader& reader, const KeyInfo& key, const Value& value, model::Limits& target,
                   std::int32_t resource);
// Makes the paths of sockets and probes absolute, once the service's directory is known.
void complete_paths(const Reader& reader, Draft& draft);
void read_probe(Reader& reader, const KeyInfo& key, const Value& value, model::Probe& target, model::ProbeKind kind);

// Reads the whole table of a service; what belongs together is checked (config/service.cc).
void read_service(Reader& reader, const Value& value, Draft& target);

}  // namespace abide::config
