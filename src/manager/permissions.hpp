// manager/permissions.hpp -- who may do what, by the kernel's credentials of a connection.
//
// The owner of the instance and root administer; groups of `[control]` read or operate; nobody else does anything.
// Names of groups are looked up in /etc/group when the configuration changes, never for each call.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "model/spec.hpp"
#include "model/state.hpp"

namespace abide::manager {

// Fixed at accept(2): what the kernel said of the peer.
struct Caller {
    std::uint32_t uid = 0, gid = 0;
    std::int32_t pid = 0;
    std::vector<std::uint32_t> groups;
};

class Permissions {
  public:
    explicit Permissions(std::uint32_t owner) : owner_(owner) {}
    Permissions();  // the owner is who we run as

    // Takes the groups of a configuration; cheap when they are the same as before.
    void configure(const model::InstanceSpec& spec);
    [[nodiscard]] model::Permission of(const Caller& caller) const;
    [[nodiscard]] model::Requester requester(const Caller& caller) const;

  private:
    std::uint32_t owner_;
    std::vector<std::string> read_names_, operate_names_;
    std::vector<std::uint32_t> read_, operate_;
};

Result<Caller> caller_of(int connection);

}  // namespace abide::manager
