// config/parts.cc -- reads the tables inside a service: their rows, then what no single row can say.
//
// Invariant: a part that equals its defaults is left out of the specification, so that writing a default down changes
// nothing.
#include <algorithm>
#include <array>
#include <limits>

#include "base/pattern.hpp"
#include "base/text.hpp"
#include "config/tables.hpp"

namespace abide::config {

namespace {

using model::ProbeKind;

// The kinds of probes, as `ready` and `health` spell them.
constexpr std::array<std::string_view, 9> kReadyKinds{"notify", "fd",  "tcp",     "unix", "http",
                                                      "exec",   "log", "pidfile", "delay"};
constexpr std::array<std::string_view, 4> kHealthKinds{"tcp", "unix", "http", "exec"};
constexpr std::array<std::string_view, 4> kUnpolledKinds{"notify", "fd", "log", "delay"};

std::string join(std::span<const std::string_view> words) {
    std::string text;
    for (const std::string_view word : words) {
        if (!text.empty()) text += ", ";
        text += word;
    }
    return text;
}

// The one member that names a kind of probe; reports none and several.
const Member* one_kind(Reader& reader, const Value& value, std::span<const std::string_view> kinds) {
    const Member* found = nullptr;
    for (const Member& member : value.members) {
        if (std::ranges::find(kinds, member.key) == kinds.end()) continue;
        if (found != nullptr) {
            reader.error(member.position, "both " + found->key + " and " + member.key,
                         "keep exactly one of " + join(kinds));
            return found;
        }
        found = &member;
    }
    if (found == nullptr) reader.error(value.position, "doesn't say how", "give exactly one of " + join(kinds));
    return found;
}

bool has_reference(std::string_view text) {
    return text.find("${") != std::string_view::npos;
}

bool is_port(std::string_view text) {
    return text.size() <= 5 && parse_integer(text, 1, 65535).has_value();
}

// HOST:PORT or [ADDRESS]:PORT; what is made of variables can be judged only when they are known.
bool is_host_port(std::string_view text) {
    if (has_reference(text)) return true;
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || !is_port(text.substr(colon + 1))) return false;
    const std::string_view host = text.substr(0, colon);
    if (host.starts_with('[')) return host.ends_with(']') && host.size() > 2;
    return host.find_first_of(":/ \t") == std::string_view::npos;
}

bool is_http_url(std::string_view text) {
    constexpr std::string_view kScheme = "http://";
    if (has_reference(text)) return true;
    if (!text.starts_with(kScheme) || text.find_first_of(" \t\r\n") != std::string_view::npos) return false;
    const std::string_view rest = text.substr(kScheme.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    return is_host_port(authority) || is_host_port(std::string(authority) + ":80");
}

// Paths that programs of the service make are relative to where it runs.
std::string absolute_path(const Reader& reader, const Draft& draft, const std::string& path) {
    if (path.empty() || path.starts_with('@') || path.starts_with("${")) return path;
    return join_path(draft.directory.empty() ? reader.context().directory : draft.directory.value(), path);
}

template <class T>
void drop_default(Box<T>& box) {
    if (box && *box == T{}) box.reset();
}

void read_one_dependency(Reader& reader, const Value& item, model::Dependency& dependency, bool& good) {
    const KeyInfo key{.shape = Shape::dependencies};
    const Value* name = &item;
    if (item.type == ValueType::table) {
        if (!read_table(reader, key, kDependencyKeys, item, dependency)) return;
        name = item.find("service");
        if (name == nullptr) return;
    }
    const KeyInfo text{.shape = Shape::text};
    if (!reader.read_instance_text(text, *name, dependency.target)) return;
    const std::size_t colon = dependency.target.rfind(':');
    if (item.type == ValueType::text && colon != std::string::npos) {
        const auto found = std::ranges::find(kDependencyKeys, "for", [](const auto& row) { return row.info.name; });
        Value stage = item;
        stage.text = dependency.target.substr(colon + 1);
        dependency.target.resize(colon);
        std::string_view chosen;
        if (!reader.read_choice(found->info, stage, chosen)) return;
        found->read(reader, found->info, stage, dependency);
    }
    const bool later =
        reader.instance() == Reader::Instance::pattern && dependency.target.find('%') != std::string::npos;
    good = later || is_service_name(dependency.target);
    if (good) return;
    std::string advice = "use letters, digits, _ . - and at most one @, 64 bytes each side";
    if (is_template_name(dependency.target))
        advice = "name an instance of the template, such as \"" + dependency.target + "1\"";
    reader.error(name->position, "not a service name: \"" + printable(dependency.target, 80) + "\"", std::move(advice));
}

// A limit: a number, a size, or no limit.
bool read_limit_value(Reader& reader, const Value& value, std::uint64_t& limit) {
    constexpr std::string_view kAdvice = "write a number, a size such as \"64M\", or \"unlimited\"";
    if (value.type == ValueType::integer && value.integer >= 0) {
        limit = static_cast<std::uint64_t>(value.integer);
        return true;
    }
    if (value.type == ValueType::text) {
        if (value.text == "unlimited") {
            limit = std::numeric_limits<std::uint64_t>::max();
            return true;
        }
        if (const Result<std::uint64_t> size = parse_size(value.text)) {
            limit = *size;
            return true;
        }
        reader.error(value.position, "not a limit: \"" + printable(value.text, 40) + "\"", std::string(kAdvice));
        return false;
    }
    reader.error(value.position, "expected a limit, not " + std::string(describe(value.type)), std::string(kAdvice));
    return false;
}

}  // namespace

void report_unknown(Reader& reader, const Member& member, std::span<const std::string_view> known) {
    std::string advice = suggestion(member.key, known);
    if (advice.empty() && member.value.find("command") != nullptr)
        advice = "a name with a dot needs quotes: [services.\"A.B\"]";
    constexpr std::size_t kFew = 12;
    if (advice.empty() && known.size() <= kFew) advice = "the keys are " + join(known);
    reader.error(member.position, "unknown key \"" + printable(member.key, 80) + "\"", std::move(advice));
}

void report_later(Reader& reader, const Member& member) {
    reader.error(member.position, "\"" + member.key + "\" is not supported by this version", "remove it");
}

void read_probe(Reader& reader, const KeyInfo& key, const Value& value, model::Probe& target, ProbeKind kind) {
    target.kind = kind;
    switch (kind) {
        case ProbeKind::notify: {
            bool on = true;
            reader.read(key, value, on);
            if (!on) reader.error(value.position, "false says nothing", "remove the key");
            return;
        }
        case ProbeKind::fd: return reader.read(key, value, target.fd);
        case ProbeKind::delay: return reader.read(key, value, target.delay);
        case ProbeKind::exec: return reader.read(key, value, target.command);
        case ProbeKind::tcp:
            if (reader.read_expandable(key, value, target.target) && !is_host_port(target.target)) {
                reader.error(value.position, "not HOST:PORT: \"" + printable(target.target, 80) + "\"",
                             "such as \"127.0.0.1:8080\"");
            }
            return;
        case ProbeKind::http:
            if (reader.read_expandable(key, value, target.target) && !is_http_url(target.target)) {
                reader.error(value.position, "not an http:// URL: \"" + printable(target.target, 80) + "\"",
                             "such as \"http://127.0.0.1:8080/healthz\"; other schemes need an exec probe");
            }
            return;
        case ProbeKind::log:
            if (!reader.read_expandable(key, value, target.target)) return;
            if (const Result<Pattern> pattern = Pattern::regular(target.target); !pattern) {
                reader.error(value.position, pattern.error().what,
                             "it is a regular expression; \\ takes the meaning away");
            }
            return;
        case ProbeKind::unix_:
        case ProbeKind::pidfile:
            if (reader.read_expandable(key, value, target.target) && target.target.empty()) {
                reader.error(value.position, "must not be empty");
            }
            return;
        case ProbeKind::exec_success: return;
    }
}

void read_ready(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (!read_table(reader, key, kReadyKeys, value, target.ready.ensure())) return;
    const Member* kind = one_kind(reader, value, kReadyKinds);
    if (kind != nullptr && std::ranges::find(kUnpolledKinds, kind->key) != kUnpolledKinds.end() &&
        value.find("every") != nullptr) {
        reader.error(value.find("every")->position, "\"every\" has no meaning with " + kind->key, "remove it");
    }
}

void read_health(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (read_table(reader, key, kHealthKeys, value, target.health.ensure())) one_kind(reader, value, kHealthKinds);
}

void read_stop(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    read_table(reader, key, kStopKeys, value, target.stop.ensure());
    drop_default(target.stop);
}

void read_reload(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (!read_table(reader, key, kReloadKeys, value, target.reload.ensure())) return;
    const bool signal = value.find("signal") != nullptr;
    const bool command = value.find("command") != nullptr;
    if (signal == command) reader.error(value.position, "needs a signal or a command, not both");
}

void read_restart_delay(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    model::RestartSpec& spec = target.restart_delay.ensure();
    if (value.type == ValueType::text) {
        // One duration is a constant delay.
        reader.read(key, value, spec.min);
        spec.max = spec.min;
        spec.factor_milli = 1000;
        spec.jitter_milli = 0;
        return;
    }
    if (!read_table(reader, key, kRestartDelayKeys, value, spec)) return;
    if (value.find("max") == nullptr) spec.max = std::max(spec.max, spec.min);
    if (spec.min > spec.max) reader.error(value.find("max")->position, "max is less than min");
}

void read_restart_limit(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    read_table(reader, key, kRestartLimitKeys, value, target.restart_delay.ensure());
}

void read_resource(Reader& reader, const KeyInfo& key, const Value& value, model::Limits& target,
                   std::int32_t resource) {
    model::ResourceLimit limit{resource, 0, 0};
    if (value.type == ValueType::table) {
        if (!read_table(reader, key, kResourceKeys, value, limit)) return;
        const Value* soft = value.find("soft");
        const Value* hard = value.find("hard");
        if (soft == nullptr || hard == nullptr) return;
        if (!read_limit_value(reader, *soft, limit.soft) || !read_limit_value(reader, *hard, limit.hard)) return;
        if (limit.soft > limit.hard) return reader.error(soft->position, "soft is more than hard");
    } else {
        if (!read_limit_value(reader, value, limit.soft)) return;
        limit.hard = limit.soft;
    }
    target.resources.push_back(limit);
}

void read_limits(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    read_table(reader, key, kLimitKeys, value, target.limits.ensure());
    std::ranges::sort(target.limits->resources, {}, &model::ResourceLimit::resource);
    drop_default(target.limits);
}

void read_sandbox(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    read_table(reader, key, kSandboxKeys, value, target.sandbox.ensure());
    std::ranges::sort(target.sandbox->capabilities);
    drop_default(target.sandbox);
}

void read_log(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (value.type == ValueType::text) {
        reader.read(key, value, target.log.ensure().mode);
    } else {
        read_table(reader, key, kLogKeys, value, target.log.ensure());
    }
    drop_default(target.log);
}

void read_oci(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    model::Oci& oci = target.oci.ensure();
    if (!read_table(reader, key, kOciKeys, value, oci)) return;
    if (oci.runtime.empty()) reader.error(value.find("runtime")->position, "must not be empty");
    if (oci.bundle.empty()) {
        if (value.find("bundle") != nullptr) reader.error(value.find("bundle")->position, "must not be empty");
        return;
    }
    oci.bundle = join_path(reader.context().directory, oci.bundle);
}

void read_sockets(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (!reader.expect(key, value, ValueType::array)) return;
    const std::string base = target.name.substr(0, target.name.find('@'));
    for (const Value& item : value.items) {
        model::SocketSpec socket;
        if (!read_table(reader, key, kSocketKeys, item, socket)) continue;
        if (socket.name.empty()) socket.name = base;
        const Value* listen = item.find("listen");
        if (listen == nullptr || listen->type != ValueType::text) continue;
        const std::string_view address = socket.address;
        const bool internet = address.starts_with("tcp:") || address.starts_with("udp:");
        const bool local = address.starts_with("unix:") && address.size() > 5;
        if (!local && !(internet && is_host_port(address.substr(4)))) {
            reader.error(listen->position, "not an address: \"" + printable(address, 80) + "\"",
                         "write tcp:HOST:PORT, udp:HOST:PORT or unix:PATH");
            continue;
        }
        if (socket.mode >= 0 && !local)
            reader.error(item.find("mode")->position, "only a unix socket has a mode", "remove it");
        const auto same = [&](const model::SocketSpec& other) { return other.address == socket.address; };
        if (std::ranges::any_of(target.sockets, same)) reader.error(listen->position, "the same address twice");
        target.sockets.push_back(std::move(socket));
    }
}

void read_dependencies(Reader& reader, const KeyInfo& key, const Value& value, Draft& target,
                       model::Relation relation) {
    using model::Relation;
    if (!reader.expect(key, value, ValueType::array)) return;
    const bool waits = relation != Relation::part_of && relation != Relation::conflicts;
    for (const Value& item : value.items) {
        if (item.type != ValueType::text && item.type != ValueType::table) {
            reader.error(item.position,
                         "expected the name of a service or a table, not " + std::string(describe(item.type)));
            continue;
        }
        model::Dependency dependency{relation, "", model::Await::ready, model::OnLoss::ignore};
        bool good = false;
        read_one_dependency(reader, item, dependency, good);
        if (!good) continue;
        const bool stage =
            item.type == ValueType::table ? item.find("for") != nullptr : item.text.find(':') != std::string::npos;
        if (!waits && stage)
            reader.error(item.position, "a stage has no meaning here", "write only the name of the service");
        if (!waits) dependency.await = model::Await::none;
        target.dependencies.push_back(std::move(dependency));
        target.dependency_positions.push_back(item.position);
    }
}

// Paths in probes can be completed only when the whole table of the service was read.
void complete_paths(const Reader& reader, Draft& draft) {
    const auto complete = [&](model::Probe& probe) {
        if (probe.kind == ProbeKind::unix_ || probe.kind == ProbeKind::pidfile) {
            probe.target = absolute_path(reader, draft, probe.target);
        }
    };
    if (draft.ready) complete(draft.ready->probe);
    if (draft.health) complete(draft.health->probe);
    for (model::SocketSpec& socket : draft.sockets) {
        if (socket.address.starts_with("unix:"))
            socket.address = "unix:" + absolute_path(reader, draft, socket.address.substr(5));
    }
}

}  // namespace abide::config
