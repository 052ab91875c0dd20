// kernel/users.hpp -- names of users and groups, from /etc/passwd and /etc/group only.  No name service: a lookup over
// the network could hang the manager.  Odd names and oversized files are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace abide::kernel {

struct User {
    std::string name;  // empty when only a number is known
    std::uint32_t uid = 0, gid = 0;
    std::string home, shell;
};

struct UserFiles {
    std::string passwd = "/etc/passwd";
    std::string group = "/etc/group";
};

// By name, or by decimal number.  A number without an entry is taken as it is, with gid equal to it and home "/".
Result<User> find_user(std::string_view name, const UserFiles& files = {});
// By name, or by decimal number, which is taken as it is.
Result<std::uint32_t> find_group(std::string_view name, const UserFiles& files = {});
// The groups that list this user as a member, and its own group.
Result<std::vector<std::uint32_t>> groups_of(const User& user, const UserFiles& files = {});
// For messages: the name, or the number as text.
std::string user_name(std::uint32_t uid, const UserFiles& files = {});

std::uint32_t effective_uid();
std::uint32_t effective_gid();

// "net_bind_service" or "CAP_NET_BIND_SERVICE" -> the bit's number; all names -> a mask.
Result<std::uint64_t> capability_mask(const std::vector<std::string>& names);

}  // namespace abide::kernel
