// kernel/users.cc -- see users.hpp.
#include "kernel/users.hpp"

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "kernel/files.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kFileBytes = 16u << 20;
constexpr std::size_t kNameBytes = 256;

std::optional<std::uint32_t> parse_id(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    // (uid_t)-1 means "no change" to setresuid(2).
    if (error != std::errc() || end != text.data() + text.size() || text.empty() || value == ~std::uint32_t{0})
        return std::nullopt;
    return value;
}

bool is_odd(std::string_view name) {
    return name.empty() || name.size() > kNameBytes || name.front() == '-' ||
           std::ranges::any_of(name, [](char c) { return c <= ' ' || c == ':' || c == ',' || c == '/' || c == 127; });
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(separator, at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

// The lines with at least `fields` fields; `take` returns true when it has found what it wants.
template <class F>
Status each_line(const std::string& file, std::size_t fields, F take) {
    const Result<std::string> text = read_file(file, kFileBytes);
    if (!text) return std::unexpected(text.error());
    for (const std::string_view line : split(*text, '\n')) {
        const std::vector<std::string_view> parts = split(line, ':');
        if (parts.size() >= fields && take(parts)) break;
    }
    return {};
}

std::optional<User> parse_user(const std::vector<std::string_view>& parts) {
    const auto uid = parse_id(parts[2]), gid = parse_id(parts[3]);
    if (!uid || !gid || is_odd(parts[0])) return std::nullopt;
    return User{std::string(parts[0]), *uid, *gid, std::string(parts[5]), std::string(parts[6])};
}

// Lower case, in the order of their numbers: capabilities(7).
constexpr std::array<std::string_view, 41> kCapabilities{"chown",
                                                         "dac_override",
                                                         "dac_read_search",
                                                         "fowner",
                                                         "fsetid",
                                                         "kill",
                                                         "setgid",
                                                         "setuid",
                                                         "setpcap",
                                                         "linux_immutable",
                                                         "net_bind_service",
                                                         "net_broadcast",
                                                         "net_admin",
                                                         "net_raw",
                                                         "ipc_lock",
                                                         "ipc_owner",
                                                         "sys_module",
                                                         "sys_rawio",
                                                         "sys_chroot",
                                                         "sys_ptrace",
                                                         "sys_pacct",
                                                         "sys_admin",
                                                         "sys_boot",
                                                         "sys_nice",
                                                         "sys_resource",
                                                         "sys_time",
                                                         "sys_tty_config",
                                                         "mknod",
                                                         "lease",
                                                         "audit_write",
                                                         "audit_control",
                                                         "setfcap",
                                                         "mac_override",
                                                         "mac_admin",
                                                         "syslog",
                                                         "wake_alarm",
                                                         "block_suspend",
                                                         "audit_read",
                                                         "perfmon",
                                                         "bpf",
                                                         "checkpoint_restore"};

}  // namespace

Result<User> find_user(std::string_view name, const UserFiles& files) {
    if (is_odd(name)) return fail(ErrorKind::usage, "not a user name: " + std::string(name));
    const std::optional<std::uint32_t> id = parse_id(name);
    std::optional<User> found;
    const Status read = each_line(files.passwd, 7, [&](const std::vector<std::string_view>& parts) {
        std::optional<User> user = parse_user(parts);
        if (user && (id ? user->uid == *id : user->name == name)) found = std::move(user);
        return found.has_value();
    });
    if (found) return *found;
    if (id) return User{{}, *id, *id, "/", {}};
    if (!read) return std::unexpected(read.error());
    return fail(ErrorKind::not_found, "no user " + std::string(name), "add it to " + files.passwd);
}

Result<std::uint32_t> find_group(std::string_view name, const UserFiles& files) {
    if (is_odd(name)) return fail(ErrorKind::usage, "not a group name: " + std::string(name));
    if (const auto id = parse_id(name)) return *id;
    std::optional<std::uint32_t> found;
    const Status read = each_line(files.group, 3, [&](const std::vector<std::string_view>& parts) {
        if (parts[0] == name) found = parse_id(parts[2]);
        return found.has_value();
    });
    if (!read) return std::unexpected(read.error());
    if (!found) return fail(ErrorKind::not_found, "no group " + std::string(name), "add it to " + files.group);
    return *found;
}

Result<std::vector<std::uint32_t>> groups_of(const User& user, const UserFiles& files) {
    std::vector<std::uint32_t> out{user.gid};
    if (user.name.empty()) return out;
    const Status read = each_line(files.group, 4, [&](const std::vector<std::string_view>& parts) {
        const auto gid = parse_id(parts[2]);
        if (gid && *gid != user.gid && std::ranges::count(split(parts[3], ','), user.name) > 0) out.push_back(*gid);
        return false;
    });
    if (!read) return std::unexpected(read.error());
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::string user_name(std::uint32_t uid, const UserFiles& files) {
    const std::string number = std::to_string(uid);
    const Result<User> user = find_user(number, files);
    return user && !user->name.empty() ? user->name : number;
}

std::uint32_t effective_uid() {
    return ::geteuid();
}
std::uint32_t effective_gid() {
    return ::getegid();
}

Result<std::uint64_t> capability_mask(const std::vector<std::string>& names) {
    std::uint64_t mask = 0;
    for (const std::string& name : names) {
        std::string lower;
        for (const char c : name) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
        const std::string_view key =
            lower.starts_with("cap_") ? std::string_view(lower).substr(4) : std::string_view(lower);
        const auto found = std::ranges::find(kCapabilities, key);
        if (found == kCapabilities.end())
            return fail(ErrorKind::usage, "no capability is called " + name, "see capabilities(7)");
        mask |= std::uint64_t{1} << (found - kCapabilities.begin());
    }
    return mask;
}

}  // namespace abide::kernel
