// config/service.cc -- reads the whole table of a service and checks what its keys say together.
#include <algorithm>
#include <tuple>

#include "config/tables.hpp"

namespace abide::config {

namespace {

// A group runs nothing: a key about processes would be ignored, so it is refused.
void check_group(Reader& reader, const Value& value) {
    for (const Member& member : value.members) {
        const auto row = std::ranges::find(kServiceKeys, member.key, [](const auto& key) { return key.info.name; });
        if (row == kServiceKeys.end() || row->info.for_groups || row->info.later) continue;
        reader.error(member.position, "\"" + member.key + "\" has no meaning for a group, which runs nothing",
                     "remove it");
    }
}

void check_task(Reader& reader, const Value& value) {
    for (const std::string_view key : {"health", "watchdog", "reload"}) {
        const Value* found = value.find(key);
        if (found == nullptr) continue;
        reader.error(found->position, "\"" + std::string(key) + "\" has no meaning for a task, which runs to its end",
                     "remove it");
    }
}

// What its config.json says, and what only a process of our own could be given, is said there or not at all.
void check_container(Reader& reader, const Value& value) {
    for (const std::string_view key : {"command", "user", "group", "groups", "sandbox", "sockets"}) {
        const Value* found = value.find(key);
        if (found == nullptr) continue;
        reader.error(found->position, "\"" + std::string(key) + "\" has no meaning for a container",
                     "say it in the bundle's config.json");
    }
    const Value* ready = value.find("ready");
    for (const std::string_view key : {"notify", "fd"}) {
        const Value* found = ready == nullptr ? nullptr : ready->find(key);
        if (found != nullptr)
            reader.error(found->position, "not possible for a container", "use tcp, http, exec or log");
    }
}

// The same set of exits has one form.  Code 0 is success always.
void tidy_exits(std::vector<model::ExitMatch>& exits, bool without_success) {
    std::ranges::sort(exits, {}, [](const model::ExitMatch& e) { return std::tuple(e.is_signal, e.value); });
    exits.erase(std::unique(exits.begin(), exits.end()), exits.end());
    if (without_success) std::erase(exits, model::ExitMatch{false, 0});
}

}  // namespace

void read_service(Reader& reader, const Value& value, Draft& target) {
    const KeyInfo key{.name = "service", .shape = Shape::table};
    if (!read_table(reader, key, kServiceKeys, value, target)) return;
    if (target.kind == model::Kind::group) {
        check_group(reader, value);
    } else {
        if (target.kind == model::Kind::task) check_task(reader, value);
        // A key that was refused may be what should have stood for the command.
        const bool reserved = std::ranges::any_of(value.members, [](const Member& member) {
            const auto row = std::ranges::find(kServiceKeys, member.key, [](const auto& k) { return k.info.name; });
            return row != kServiceKeys.end() && row->info.later;
        });
        if (target.oci) {
            check_container(reader, value);
        } else if (value.find("command") == nullptr && !reserved) {
            reader.error(target.position, "missing key \"command\"",
                         "a service without a program is a group: kind = \"group\"");
        }
    }
    complete_paths(reader, target);
    tidy_exits(target.success_exit.edit(), true);
    if (target.restart_delay) {
        tidy_exits(target.restart_delay->prevent, false);
        tidy_exits(target.restart_delay->force, false);
        if (*target.restart_delay == model::RestartSpec{}) target.restart_delay.reset();
    }
    if (target.hooks && *target.hooks == model::Hooks{}) target.hooks.reset();
    if (target.identity && *target.identity == model::Identity{}) target.identity.reset();
    target.is_template = reader.instance() == Reader::Instance::pattern;
    target.autostart = !target.is_template && target.autostart_given.value_or(true);
}

}  // namespace abide::config
