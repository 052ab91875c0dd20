// monitor/request.cc -- see request.hpp.
#include "monitor/request.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "kernel/users.hpp"

namespace abide::detail {
namespace {

using io_kind = command_access::io_kind;
constexpr const char* kUsualPath = "/usr/local/bin:/usr/bin:/bin";

error refused(int number, std::string what) {
    return {start_stage::none, number, std::move(what)};
}

std::string_view name_of(std::string_view entry) {
    return entry.substr(0, entry.find('='));
}

std::vector<std::string> environment_of(const command_parts& parts) {
    std::vector<std::string> out;
    if (!parts.clear_environment) out = kernel::environment();
    for (const auto& [name, value] : parts.environment) {
        std::erase_if(out, [&](const std::string& entry) { return name_of(entry) == name; });
        if (value) out.push_back(name + "=" + *value);
    }
    return out;
}

void choose_program(const command_parts& parts, kernel::SpawnRequest& request) {
    const std::string& program = parts.executable.empty() ? request.argv[0] : parts.executable;
    std::string path = kUsualPath;
    for (const std::string& entry : request.envp) {
        if (entry.starts_with("PATH=")) path = entry.substr(5);
    }
    request.candidates = kernel::search_candidates(program, path);
}

result<void> choose_user(const command_parts& parts, kernel::SpawnRequest& request) {
    if (!parts.user && !parts.group && !parts.supplementary) return {};
    kernel::Credentials who{kernel::effective_uid(), kernel::effective_gid(), {}};
    if (parts.user) {
        const Result<kernel::User> user = kernel::find_user(*parts.user);
        if (!user) return from_kernel(user.error(), "no user " + *parts.user);
        who.uid = user->uid;
        who.gid = user->gid;
        Result<std::vector<std::uint32_t>> groups = kernel::groups_of(*user);
        if (!groups) return from_kernel(groups.error(), "can't find the groups of " + *parts.user);
        who.groups = std::move(*groups);
    }
    if (parts.group) {
        const Result<std::uint32_t> gid = kernel::find_group(*parts.group);
        if (!gid) return from_kernel(gid.error(), "no group " + *parts.group);
        who.gid = *gid;
    }
    if (parts.supplementary) who.groups = *parts.supplementary;
    request.credentials = std::move(who);
    return {};
}

// A descriptor that the child gets from a file that is opened for it.
result<int> open_for_child(kernel::SpawnRequest& request, const std::string& path, int flags) {
    Result<Fd> file = kernel::open_file(path, flags, 0644);
    if (!file) return from_kernel(file.error(), {});
    const int number = file->get();
    request.owned.push_back(std::move(*file));
    return number;
}

result<int> pipe_for_child(prepared& out, int number, const stdio& io) {
    Result<kernel::Pipe> pipe = kernel::make_pipe();
    if (!pipe) return from_kernel(pipe.error(), {});
    Fd theirs = number == 0 ? std::move(pipe->read) : std::move(pipe->write);
    Fd ours = number == 0 ? std::move(pipe->write) : std::move(pipe->read);
    const auto at = static_cast<std::size_t>(number);
    if (command_access::kind_of(io) == io_kind::pipe) {
        out.pipes[at] = std::move(ours);
    } else {
        if (Status s = kernel::set_nonblocking(ours.get()); !s) return from_kernel(s.error(), {});
        out.streams[at] = std::make_shared<stream>();
        out.streams[at]->fd = std::move(ours);
        out.streams[at]->number = number;
        out.streams[at]->sink = command_access::sink_of(io);
        out.streams[at]->limit = command_access::limit_of(io);
    }
    const int source = theirs.get();
    out.request.owned.push_back(std::move(theirs));
    return source;
}

result<int> source_of(prepared& out, int number, const stdio& io, int standard_output) {
    switch (command_access::kind_of(io)) {
        case io_kind::inherit: return number;
        case io_kind::null: return open_for_child(out.request, "/dev/null", O_RDWR);
        case io_kind::descriptor: return command_access::fd_of(io);
        case io_kind::file: {
            const int how = command_access::append_of(io) ? O_APPEND : O_TRUNC;
            const int flags = number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | how;
            return open_for_child(out.request, command_access::path_of(io), flags);
        }
        case io_kind::pipe: return pipe_for_child(out, number, io);
        case io_kind::capture:
        case io_kind::buffer:
            if (number == 0) return refused(EINVAL, "standard input can't be captured");
            return pipe_for_child(out, number, io);
        case io_kind::to_output:
            if (number != 2) return refused(EINVAL, "only standard error can go where standard output goes");
            return standard_output;
    }
    return refused(EINVAL, "an unknown kind of descriptor");
}

result<void> connect(const command_parts& parts, prepared& out) {
    int standard_output = 1;
    for (int number = 0; number < 3; ++number) {
        const stdio& io = parts.io[static_cast<std::size_t>(number)];
        const result<int> source = source_of(out, number, io, standard_output);
        if (!source) return source.error();
        if (number == 1) standard_output = *source;
        // One of ours that is closed is closed there too.
        const bool inherited = command_access::kind_of(io) == io_kind::inherit;
        if (inherited && !kernel::is_open(number)) continue;
        out.request.descriptors.emplace_back(*source, number);
    }
    for (const auto& [source, target] : parts.descriptors) {
        if (target < 3) return refused(EINVAL, "descriptors 0 to 2 are set by in(), out() and err()");
        if (!kernel::is_open(source)) return refused(EBADF, "a descriptor for the child is not open");
        out.request.descriptors.emplace_back(source, target);
    }
    return {};
}

// A socket and no pipe: a byte for a reader that has died raises no signal in the program that we are a guest of.
result<void> make_release(prepared& out) {
    Result<std::pair<Fd, Fd>> ends = kernel::make_socket_pair(SOCK_STREAM);
    if (!ends) return from_kernel(ends.error(), {});
    out.request.hold.release_fd = ends->first.get();
    out.request.owned.push_back(std::move(ends->first));
    out.release = std::move(ends->second);
    return {};
}

}  // namespace

result<prepared> prepare(const command_parts& parts) {
    prepared out;
    kernel::SpawnRequest& request = out.request;
    request.argv = parts.argv;
    request.envp = environment_of(parts);
    choose_program(parts, request);
    if (!parts.own_pid_variable.empty()) {
        std::erase_if(request.envp, [&](const std::string& e) { return name_of(e) == parts.own_pid_variable; });
        request.pid_variable = request.envp.size();
        request.envp.push_back(parts.own_pid_variable + "=");
    }
    request.directory = parts.directory;
    if (result<void> user = choose_user(parts, request); !user) return user.error();
    if (parts.capabilities) {
        const Result<std::uint64_t> mask = kernel::capability_mask(*parts.capabilities);
        if (!mask) return from_kernel(mask.error(), {});
        request.capabilities = kernel::CapabilitySet{*mask};
    }
    request.limits = parts.limits;
    request.nice = parts.nice;
    request.umask = parts.umask;
    request.no_new_privileges = parts.no_new_privileges;
    request.new_session = parts.new_session;
    request.controlling_terminal = parts.controlling_terminal;
    request.as_parents_child = parts.as_sibling;
    request.hold.private_tmp = parts.private_tmp;
    request.hold.has_oom_score = parts.oom_score.has_value();
    request.hold.oom_score_adjust = parts.oom_score.value_or(0);
    if (parts.held) {
        if (result<void> made = make_release(out); !made) return made.error();
    }
    if (result<void> connected = connect(parts, out); !connected) return connected.error();
    return out;
}

}  // namespace abide::detail
