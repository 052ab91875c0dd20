// manager/environment.cc -- see the header.
#include "manager/environment.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "config/expand.hpp"
#include "model/text.hpp"

namespace abide::manager {

namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array<std::string_view, 10> kNotInherited = {
    "NOTIFY_SOCKET",  "WATCHDOG_USEC", "WATCHDOG_PID",  "LISTEN_FDS", "LISTEN_PID",
    "LISTEN_FDNAMES", "MAINPID",       "ABIDE_SERVICE", "ABIDE_RUN",  "ABIDE_REASON"};

bool is_beside_main(model::Role role) {
    switch (role) {
        case model::Role::main:
        case model::Role::pre_start: return false;
        case model::Role::post_start:
        case model::Role::pre_stop:
        case model::Role::stop_command:
        case model::Role::post_stop:
        case model::Role::reload:
        case model::Role::ready_probe:
        case model::Role::health_probe:
        case model::Role::action:
        case model::Role::container_create:
        case model::Role::container_start:
        case model::Role::container_delete: return true;
    }
    return true;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ":") + name;
    return text;
}

}  // namespace

std::vector<model::Variable> parse_environment(std::string_view record) {
    std::vector<model::Variable> variables;
    for (const std::string_view word : split(record, '\0')) {
        const std::size_t equals = word.find('=');
        if (equals == std::string_view::npos || equals == 0) continue;
        const std::string_view name = word.substr(0, equals);
        if (std::ranges::find(kNotInherited, name) != kNotInherited.end()) continue;
        variables.push_back({std::string(name), std::string(word.substr(equals + 1))});
    }
    std::ranges::stable_sort(variables, {}, &model::Variable::name);
    return variables;
}

std::shared_ptr<const Inherited> inherited_from(std::vector<model::Variable> variables) {
    auto inherited = std::make_shared<Inherited>();
    for (model::Variable& variable : variables) {  // of a name that is there twice the last one counts
        if (!inherited->variables.empty() && inherited->variables.back().name == variable.name) {
            inherited->variables.pop_back();
            inherited->words.pop_back();
        }
        inherited->words.push_back(variable.name + "=" + variable.value);
        inherited->variables.push_back(std::move(variable));
    }
    return inherited;
}

Result<config::Environment> process_environment(const std::vector<model::Variable>& inherited,
                                                const model::ServiceSpec& spec, const ProcessFacts& facts) {
    std::vector<model::Variable> assigned;
    assigned.reserve(spec.environment.size() + 12);
    const auto set = [&](std::string_view name, std::string_view value) {
        assigned.push_back({std::string(name), config::escape_references(value)});
    };
    if (config::Environment{&inherited, {}}.find("PATH").value_or("").empty()) set("PATH", kDefaultPath);
    if (facts.user != nullptr) {
        set("HOME", facts.user->home);
        if (!facts.user->shell.empty()) set("SHELL", facts.user->shell);
        if (!facts.user->name.empty()) {
            set("USER", facts.user->name);
            set("LOGNAME", facts.user->name);
        }
    }
    set("ABIDE_SERVICE", facts.service);
    set("ABIDE_RUN", std::to_string(facts.run.value));
    // What the configuration says comes after what it may refer to, and before what it must not change.
    assigned.insert(assigned.end(), spec.environment.begin(), spec.environment.end());
    if (!facts.notify_socket.empty()) set("NOTIFY_SOCKET", facts.notify_socket);
    // WATCHDOG_PID may be absent (sd_watchdog_enabled(3)): then every process of the service may ping.
    if (spec.watchdog.ns > 0 && facts.role == model::Role::main)
        set("WATCHDOG_USEC", std::to_string(spec.watchdog.ns / 1000));
    if (!facts.listen_names.empty()) {
        set("LISTEN_FDS", std::to_string(facts.listen_names.size()));
        set("LISTEN_FDNAMES", joined(facts.listen_names));
        set(kListenPid, "");
    }
    if (is_beside_main(facts.role)) {
        if (facts.main_pid > 0) set("MAINPID", std::to_string(facts.main_pid));
        if (facts.stop_reason != model::Reason::none) set("ABIDE_REASON", model::to_text(facts.stop_reason));
    }
    return config::expand_environment(inherited, assigned);
}

}  // namespace abide::manager
