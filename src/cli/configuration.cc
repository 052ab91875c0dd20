// cli/configuration.cc -- see configuration.hpp.
#include "cli/configuration.hpp"

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/limits.hpp"
#include "core/graph.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/files.hpp"
#include "kernel/users.hpp"
#include "model/codec.hpp"

namespace abide::cli {

namespace {

// Only the reason: who shows it names the file.
Error reason_of(const Error& error, const std::string& path) {
    std::string what = error.what;
    if (error.err != 0)
        what = error_text(error.err);
    else if (what.starts_with(path))
        what.erase(0, what.find_first_not_of(": ", path.size()));
    const bool missing = error.err == ENOENT || error.err == ENOTDIR;
    return {missing ? ErrorKind::not_found : error.kind, std::move(what), 0, error.advice};
}

}  // namespace

Result<std::string> RealFiles::read(const std::string& path) {
    auto text = kernel::read_regular_file(path, limits::kConfigFileBytes, kernel::LastLink::follow);
    if (!text) return std::unexpected(reason_of(text.error(), path));
    return text;
}

Result<std::vector<std::string>> RealFiles::list(const std::string& directory, std::string_view suffix) {
    std::vector<std::string> out;
    const auto folder = kernel::open_directory(directory);
    if (!folder) {
        if (folder.error().err == ENOENT || folder.error().err == ENOTDIR) return out;
        return std::unexpected(reason_of(folder.error(), directory));
    }
    auto names = kernel::list_directory(folder->get(), limits::kConfigFiles * 4);
    if (!names) return std::unexpected(reason_of(names.error(), directory));
    for (const std::string& name : *names) {
        if (name.ends_with(suffix) && !name.starts_with('.')) out.push_back(directory + "/" + name);
    }
    std::ranges::sort(out);
    return out;
}

config::LoadContext load_context(const Places& places) {
    return {places.start_directory, places.name, places.mode, kernel::effective_uid() == 0};
}

config::Loaded load_files(const Places& places, const std::vector<std::string>& entries) {
    RealFiles files;
    config::Loaded loaded = config::load(entries, files, load_context(places));
    // What is wrong with a part of a service may be why it contradicts another one; a cycle is one in any case.
    const bool only_cycles = !loaded.ok;
    if (loaded.ok && loaded.files.empty()) {
        loaded.diagnostics.push_back({config::Severity::warning, places.configuration, 0, 0,
                                      "there is no configuration, so no service", "write it, or see `abide add`"});
    }
    for (core::Problem& problem : core::validate(loaded.configuration)) {
        if (only_cycles && !problem.cycle) continue;
        loaded.cyclic = problem.cycle && (loaded.ok || loaded.cyclic);
        loaded.diagnostics.push_back({config::Severity::error, std::move(problem.where.file), problem.where.line,
                                      problem.where.column, std::move(problem.text), std::move(problem.advice),
                                      problem.cycle});
        loaded.ok = false;
    }
    return loaded;
}

std::vector<config::Diagnostic> limits_without_controller(const model::Configuration& configuration,
                                                          const std::vector<std::string>& controllers) {
    struct Users {
        const model::ServiceSpec* first = nullptr;
        std::size_t count = 0;
    };
    std::map<std::string_view, Users> by_key;
    for (const model::ServiceSpec& spec : configuration.services) {
        for (const model::CgroupLimit& limit : model::cgroup_limits(spec.limits.or_default())) {
            if (std::ranges::find(controllers, limit.file.substr(0, limit.file.find('.'))) != controllers.end())
                continue;
            Users& users = by_key[limit.key];
            if (users.count++ == 0) users.first = &spec;
        }
    }
    std::vector<config::Diagnostic> out;
    for (const auto& [key, users] : by_key) {
        const model::SourcePosition& where = users.first->source;
        std::string text = users.first->name + ": limits." + std::string(key) + " would not be in force";
        if (users.count > 1) text += ", nor that of " + std::to_string(users.count - 1) + " more";
        const std::string_view controller = key.substr(0, key.find('-'));
        text += ": no " + std::string(controller) + " controller for control groups made from here";
        out.push_back({config::Severity::warning, where.file, where.line, where.column, std::move(text),
                       "see `limits` in abide.toml(5)"});
    }
    return out;
}

std::vector<config::Diagnostic> limits_out_of_reach(const model::Configuration& configuration, bool stays) {
    const auto asks = [](const model::ServiceSpec& spec) { return static_cast<bool>(spec.limits); };
    if (std::ranges::none_of(configuration.services, asks)) return {};
    return limits_without_controller(configuration, kernel::controllers_within_reach(stays));
}

void tell(Context& context, const std::vector<config::Diagnostic>& diagnostics) {
    for (const config::Diagnostic& one : diagnostics) context.note(config::format(one));
}

std::vector<control::Change> changes_to_come(Client& client, const Places& places) {
    if (places.forced_socket) return {};
    const config::Loaded loaded = load_files(places, {places.configuration});
    if (!loaded.ok) return {};
    control::ConfigurationRequest request;
    model::encode(request.configuration, loaded.configuration);
    auto reply = client.call<control::ChangesReply>(control::Method::plan, request);
    return reply ? std::move(reply->changes) : std::vector<control::Change>{};
}

bool is_in_files(const Places& places, std::string_view name) {
    if (places.forced_socket) return false;
    const config::Loaded loaded = load_files(places, {places.configuration});
    return std::ranges::find(loaded.configuration.services, name, &model::ServiceSpec::name) !=
           loaded.configuration.services.end();
}

Result<config::Loaded> load_instance(Context& context, const Places& places) {
    config::Loaded loaded = load_files(places, {places.configuration});
    tell(context, loaded.diagnostics);
    if (loaded.ok) return loaded;
    const auto errors = std::ranges::count(loaded.diagnostics, config::Severity::error, &config::Diagnostic::severity);
    return fail(loaded.cyclic ? ErrorKind::refused : ErrorKind::usage,
                places.configuration + " has " + std::to_string(errors) + (errors == 1 ? " error" : " errors") +
                    "; nothing was changed",
                "correct what is named above, and look again with `abide check`");
}

}  // namespace abide::cli
