// monitor/parts.hpp -- what a command is made of, for those who start it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abide/monitor/command.hpp"
#include "kernel/rlimit.hpp"

namespace abide {

namespace detail {
class core;

struct command_parts {
    std::vector<std::string> argv;
    std::string executable, label, directory, own_pid_variable;
    std::vector<std::pair<std::string, std::optional<std::string>>> environment;  // nothing: removed
    bool clear_environment = false;
    std::array<stdio, 3> io;
    std::vector<std::pair<int, int>> descriptors;
    std::optional<std::string> user, group;
    std::optional<std::vector<std::uint32_t>> supplementary;
    std::optional<std::vector<std::string>> capabilities;
    std::vector<kernel::ResourceLimitValue> limits;
    std::optional<int> nice, oom_score;
    std::optional<std::uint32_t> umask;
    bool no_new_privileges = false, new_session = true, controlling_terminal = false;
    bool private_tmp = false, as_sibling = false, held = false;
    std::weak_ptr<core> group_core;
    std::uint64_t group_id = 0;  // 0: none
};

}  // namespace detail

// The way into the private parts.
struct command_access {
    using io_kind = stdio::kind;
    static const detail::command_parts& parts_of(const command& what) { return *what.parts_; }
    static io_kind kind_of(const stdio& io) { return io.kind_; }
    static int fd_of(const stdio& io) { return io.fd_; }
    static bool append_of(const stdio& io) { return io.append_; }
    static std::size_t limit_of(const stdio& io) { return io.limit_; }
    static const std::string& path_of(const stdio& io) { return io.path_; }
    static const output_sink& sink_of(const stdio& io) { return io.sink_; }
};

}  // namespace abide
