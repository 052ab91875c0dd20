// manager/permissions.cc -- see the header.
#include "manager/permissions.hpp"

#include <algorithm>

#include "kernel/socket.hpp"
#include "kernel/users.hpp"
#include "manager/complain.hpp"

namespace abide::manager {

namespace {

std::vector<std::uint32_t> numbers_of(const std::vector<std::string>& names) {
    std::vector<std::uint32_t> numbers;
    for (const std::string& name : names) {
        const Result<std::uint32_t> number = kernel::find_group(name);
        if (number)
            numbers.push_back(*number);
        else
            complain("[control] group '" + name + "': " + describe(number.error()));
    }
    return numbers;
}

bool in_any(const Caller& caller, const std::vector<std::uint32_t>& groups) {
    return std::ranges::any_of(groups, [&](std::uint32_t group) {
        return group == caller.gid || std::ranges::find(caller.groups, group) != caller.groups.end();
    });
}

}  // namespace

Permissions::Permissions() : owner_(kernel::effective_uid()) {}

void Permissions::configure(const model::InstanceSpec& spec) {
    if (spec.read == read_names_ && spec.operate == operate_names_) return;
    read_names_ = spec.read;
    operate_names_ = spec.operate;
    read_ = numbers_of(read_names_);
    operate_ = numbers_of(operate_names_);
}

model::Permission Permissions::of(const Caller& caller) const {
    if (caller.uid == 0 || caller.uid == owner_) return model::Permission::administer;
    if (in_any(caller, operate_)) return model::Permission::operate;
    if (in_any(caller, read_)) return model::Permission::read;
    return model::Permission::none;
}

model::Requester Permissions::requester(const Caller& caller) const {
    return {caller.uid, caller.gid, caller.pid, of(caller)};
}

Result<Caller> caller_of(int connection) {
    const Result<kernel::Peer> peer = kernel::peer_of(connection);
    if (!peer) return std::unexpected(peer.error());
    Caller caller{peer->uid, peer->gid, peer->pid, {}};
    if (Result<std::vector<std::uint32_t>> groups = kernel::peer_groups(connection)) caller.groups = std::move(*groups);
    return caller;
}

}  // namespace abide::manager
