// manager/launch_request.cc -- see the header.
#include "manager/launch_request.hpp"

#include <algorithm>
#include <cerrno>

#include "config/expand.hpp"
#include "oci/bundle.hpp"

namespace abide::manager {

namespace {

constexpr int kFirstListener = 3;  // SD_LISTEN_FDS_START

const model::Command* at(const std::vector<model::Command>& list, std::uint32_t step) {
    return step < list.size() ? &list[step] : nullptr;
}

std::unexpected<LaunchError> refuse(std::string stage, Error error) {
    return std::unexpected(LaunchError{std::move(stage), std::move(error)});
}

// The child's descriptors; nothing when two of them want the same number.
std::optional<std::vector<std::pair<int, int>>> descriptors_of(const model::ServiceSpec& spec,
                                                               const LaunchThings& things) {
    std::vector<std::pair<int, int>> all;
    const bool inherit = spec.log.or_default().mode == model::LogMode::inherit;
    const int output = things.output >= 0 ? things.output : things.null;
    all.emplace_back(things.null, 0);
    all.emplace_back(things.output < 0 && inherit ? 1 : output, 1);
    all.emplace_back(things.output < 0 && inherit ? 2 : output, 2);
    for (std::size_t i = 0; i < things.listeners.size(); ++i) {
        all.emplace_back(things.listeners[i], kFirstListener + static_cast<int>(i));
    }
    if (things.console >= 0) all.emplace_back(things.console, oci::kConsoleFd);
    if (things.ready >= 0) {
        const int wanted = spec.ready.or_default().probe.fd;
        if (std::ranges::any_of(all, [&](const auto& pair) { return pair.second == wanted; })) return std::nullopt;
        all.emplace_back(things.ready, wanted);
    }
    return all;
}

void set_environment(kernel::SpawnRequest& request, const config::Environment& environment,
                     const std::shared_ptr<const Inherited>& inherited, bool tells_pid) {
    for (const model::Variable& variable : environment.own) {
        if (tells_pid && variable.name == kListenPid) request.pid_variable = request.envp.size();
        request.envp.push_back(variable.name + "=" + variable.value);
    }
    request.shared_envp.reserve(inherited->words.size());
    for (std::size_t i = 0; i < inherited->words.size(); ++i) {
        if (!environment.hides(inherited->variables[i].name))
            request.shared_envp.push_back(inherited->words[i].c_str());
    }
    request.shared = inherited;
}

// Checks and reload commands of a container run in it; hooks around it run beside it.
bool runs_inside(model::Role role, const model::ServiceSpec& spec) {
    const bool check = role == model::Role::ready_probe || role == model::Role::health_probe;
    return spec.oci && (check || role == model::Role::reload || role == model::Role::stop_command);
}

void apply_limits(kernel::SpawnRequest& request, const model::Limits& limits,
                  const kernel::ResourceLimitValue& descriptors) {
    bool descriptors_set = false;
    for (const model::ResourceLimit& limit : limits.resources) {
        request.limits.push_back({limit.resource, limit.soft, limit.hard});
        descriptors_set = descriptors_set || limit.resource == descriptors.resource;
    }
    if (!descriptors_set) request.limits.push_back(descriptors);
    if (limits.nice != 0) request.nice = limits.nice;
    if (limits.umask >= 0) request.umask = static_cast<std::uint32_t>(limits.umask);
    if (limits.oom_score_adjust != 0) {
        request.hold.has_oom_score = true;
        request.hold.oom_score_adjust = limits.oom_score_adjust;
    }
}

std::optional<LaunchError> apply_sandbox(kernel::SpawnRequest& request, const model::Sandbox& sandbox) {
    request.no_new_privileges = sandbox.no_new_privileges;
    request.hold.private_tmp = sandbox.private_tmp;
    if (sandbox.keep_capabilities) return std::nullopt;
    const Result<std::uint64_t> mask = kernel::capability_mask(sandbox.capabilities);
    if (!mask) return LaunchError{"capabilities", mask.error()};
    request.capabilities = kernel::CapabilitySet{*mask};
    return std::nullopt;
}

}  // namespace

const model::Command* command_of(const model::ServiceSpec& spec, model::Role role, std::uint32_t step) {
    const model::Hooks& hooks = spec.hooks.or_default();
    switch (role) {
        case model::Role::main: return &spec.command;
        case model::Role::pre_start: return at(hooks.pre_start, step);
        case model::Role::post_start: return at(hooks.post_start, step);
        case model::Role::pre_stop: return at(hooks.pre_stop, step);
        case model::Role::stop_command: return &spec.stop.or_default().command;
        case model::Role::post_stop: return at(hooks.post_stop, step);
        case model::Role::reload: return &spec.reload.or_default().command;
        case model::Role::ready_probe: return &spec.ready.or_default().probe.command;
        case model::Role::health_probe: return &spec.health.or_default().probe.command;
        case model::Role::container_create:
        case model::Role::container_start:
        case model::Role::container_delete:
        case model::Role::action: return nullptr;
    }
    return nullptr;
}

Result<std::uint32_t> user_of(const model::ServiceSpec& spec) {
    if (!spec.identity || spec.identity->user.empty()) return kernel::effective_uid();
    const Result<kernel::User> user = kernel::find_user(spec.identity->user);
    if (!user) return std::unexpected(user.error());
    return user->uid;
}

Result<const Identities::Found*> Identities::find(const model::Identity& identity) {
    std::string key = identity.user + ":" + identity.group;
    for (const std::string& group : identity.groups) key += "," + group;
    if (const auto it = found_.find(key); it != found_.end()) return &it->second;
    Found found;
    found.credentials.uid = kernel::effective_uid();
    found.credentials.gid = kernel::effective_gid();
    if (!identity.user.empty()) {
        Result<kernel::User> user = kernel::find_user(identity.user);
        if (!user) return std::unexpected(user.error());
        Result<std::vector<std::uint32_t>> groups = kernel::groups_of(*user);
        if (!groups) return std::unexpected(groups.error());
        found.user = std::move(*user);
        found.credentials = {found.user.uid, found.user.gid, std::move(*groups)};
    }
    if (!identity.group.empty()) {
        const Result<std::uint32_t> group = kernel::find_group(identity.group);
        if (!group) return std::unexpected(group.error());
        found.credentials.gid = *group;
    }
    for (const std::string& name : identity.groups) {
        const Result<std::uint32_t> group = kernel::find_group(name);
        if (!group) return std::unexpected(group.error());
        found.credentials.groups.push_back(*group);
    }
    return &found_.emplace(std::move(key), std::move(found)).first->second;
}

std::expected<kernel::SpawnRequest, LaunchError> launch_request(const core::Engine& engine,
                                                                const core::Engine::Owner& owner, ProcessFacts facts,
                                                                const LaunchThings& things, Identities& identities) {
    const model::ServiceSpec& spec = engine.spec_of(*owner.run);
    const model::Command* command =
        things.command != nullptr ? things.command : command_of(spec, owner.process->role, owner.process->step);
    if (command == nullptr || command->argv.empty())
        return refuse("exec", {ErrorKind::failed, "no command", ENOENT, {}});
    kernel::SpawnRequest request;
    if (spec.identity) {
        const Result<const Identities::Found*> found = identities.find(*spec.identity);
        if (!found) return refuse("user", found.error());
        request.credentials = (*found)->credentials;
        if (!spec.identity->user.empty()) facts.user = &(*found)->user;
    }
    const Result<config::Environment> environment = process_environment(things.inherited->variables, spec, facts);
    if (!environment) return refuse("environment", environment.error());
    Result<std::vector<std::string>> argv =
        things.command == nullptr ? config::expand_command(*command, *environment) : command->argv;
    if (!argv) return refuse("arguments", argv.error());
    if (argv->empty() || argv->front().empty())
        return refuse("exec", {ErrorKind::failed, "an empty command", ENOENT, {}});
    request.candidates = kernel::search_candidates(argv->front(), environment->find("PATH").value_or(""));
    if (!things.program.empty()) request.candidates = {things.program};
    if (runs_inside(owner.process->role, spec)) {
        *argv = oci::exec_words(spec.oci->runtime, things.container, std::move(*argv));
        request.candidates = kernel::search_candidates(spec.oci->runtime, environment->find("PATH").value_or(""));
    }
    request.argv = std::move(*argv);
    set_environment(request, *environment, things.inherited, !facts.listen_names.empty());
    request.directory = spec.directory.empty() ? engine.instance().spec.directory : spec.directory.value();
    std::optional<std::vector<std::pair<int, int>>> descriptors = descriptors_of(spec, things);
    if (!descriptors)
        return refuse("descriptors", {ErrorKind::failed, "`ready.fd` is the number of a socket", EINVAL, {}});
    request.descriptors = std::move(*descriptors);
    apply_limits(request, spec.limits.or_default(), things.descriptor_limit);
    if (std::optional<LaunchError> wrong = apply_sandbox(request, spec.sandbox.or_default()))
        return std::unexpected(*wrong);
    if (things.hold != nullptr) {
        request.hold.release_fd = things.hold->release_read.get();
        request.hold.told_read = things.hold->told_read.get();
        request.hold.told_write = things.hold->told_write.get();
    }
    request.as_parents_child = true;
    return request;
}

}  // namespace abide::manager
