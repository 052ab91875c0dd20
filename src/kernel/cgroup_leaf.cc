// kernel/cgroup_leaf.cc -- what can be done with one control group, by the descriptor of its folder; see cgroup.hpp.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <ctime>

#include "kernel/cgroup.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kProcsBytes = 16u << 20;
constexpr int kDeepest = 8;
constexpr int kKillRounds = 200;

// A folder of kernfs has two links, and one more for each folder in it.
bool has_groups_below(int group) {
    struct stat info{};
    return ::fstat(group, &info) != 0 || info.st_nlink > 2;
}

// A service may have made groups below its own; their members are its members.
Status collect(int group, int depth, std::vector<pid_t>& out) {
    const Result<std::string> text = read_file_beneath(group, "cgroup.procs", kProcsBytes);
    if (!text) return std::unexpected(text.error());
    const std::vector<pid_t> here = parse_cgroup_procs(*text);
    out.insert(out.end(), here.begin(), here.end());
    if (depth >= kDeepest || !has_groups_below(group)) return {};
    const Result<std::vector<std::string>> names = list_directory(group);
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
        if (name.starts_with("cgroup.")) continue;
        const Result<Fd> inner = open_beneath(group, name, O_RDONLY | O_DIRECTORY);
        if (!inner) continue;
        if (Status s = collect(inner->get(), depth + 1, out); !s) return s;
    }
    return {};
}

}  // namespace

std::vector<pid_t> parse_cgroup_procs(std::string_view text) {
    std::vector<pid_t> out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        pid_t pid = 0;
        std::from_chars(text.data() + at, text.data() + end, pid);
        if (pid > 0) out.push_back(pid);
        at = end + 1;
    }
    return out;
}

Result<bool> cgroup_populated(int group, std::string_view below) {
    const std::string file = below.empty() ? "cgroup.events" : std::string(below) + "/cgroup.events";
    const Result<std::string> text = read_file_beneath(group, file, 4096);
    if (!text) return std::unexpected(text.error());
    return text->find("populated 1") != std::string::npos;
}

Result<std::vector<pid_t>> cgroup_processes(int leaf) {
    std::vector<pid_t> out;
    if (Status s = collect(leaf, 0, out); !s) return std::unexpected(s.error());
    return out;
}

Status cgroup_kill_all(int leaf) {
    const Status killed = write_control_file(leaf, "cgroup.kill", "1");
    if (killed) return killed;
    return cgroup_kill_by_rounds(leaf);  // before 5.14
}

Status cgroup_kill_by_rounds(int leaf) {
    for (int round = 0; round < kKillRounds; ++round) {
        const Result<std::size_t> sent = cgroup_signal_all(leaf, SIGKILL);
        if (!sent) return std::unexpected(sent.error());
        const Result<bool> populated = cgroup_populated(leaf);
        if (!populated) return std::unexpected(populated.error());
        if (!*populated || (*sent == 0 && round > 2)) return {};
        const timespec pause{0, 200'000};
        ::nanosleep(&pause, nullptr);
    }
    return fail(ErrorKind::timed_out, "a control group makes processes faster than they can be killed");
}

Result<std::size_t> cgroup_signal_all(int leaf, int signal, std::span<const pid_t> have_it) {
    const Result<std::vector<pid_t>> first = cgroup_processes(leaf);
    if (!first) return std::unexpected(first.error());
    std::size_t sent = 0;
    std::vector<std::pair<pid_t, Fd>> opened;
    for (const pid_t pid : *first) {
        if (std::ranges::find(have_it, pid) != have_it.end()) continue;
        if (Result<Fd> fd = open_pidfd(pid)) opened.emplace_back(pid, std::move(*fd));
    }
    if (opened.empty()) return sent;
    // Who is a member now, after the pidfd was opened, is the process of that pidfd, or the pidfd's process is dead.
    Result<std::vector<pid_t>> second = cgroup_processes(leaf);
    if (!second) return std::unexpected(second.error());
    std::ranges::sort(*second);
    for (const auto& [pid, fd] : opened) {
        if (std::ranges::binary_search(*second, pid) && send_signal(fd.get(), signal)) ++sent;
    }
    return sent;
}

Status cgroup_freeze(int leaf, bool frozen) {
    return write_control_file(leaf, "cgroup.freeze", frozen ? "1" : "0");
}

Result<bool> cgroup_frozen(int leaf) {
    const Result<std::string> text = read_file_beneath(leaf, "cgroup.events", 4096);
    if (!text) return std::unexpected(text.error());
    return text->find("frozen 1") != std::string::npos;
}

Status cgroup_join(int leaf, pid_t pid) {
    return write_control_file(leaf, "cgroup.procs", std::to_string(pid));
}

Status cgroup_set(int leaf, std::string_view file, std::string_view value) {
    return write_control_file(leaf, file, value);
}

Result<std::string> cgroup_get(int leaf, std::string_view file) {
    Result<std::string> text = read_file_beneath(leaf, file, 64u << 10);
    while (text && text->ends_with('\n')) text->pop_back();
    return text;
}

std::optional<std::uint64_t> cgroup_oom_kills(int leaf) {
    const Result<std::string> text = cgroup_get(leaf, "memory.events");
    constexpr std::string_view kKey = "\noom_kill ";  // never its first line: cgroup-v2.rst
    const std::size_t at = text ? text->find(kKey) : std::string::npos;
    if (at == std::string::npos) return std::nullopt;
    std::uint64_t count = 0;
    const char* const end = text->data() + text->size();
    const auto read = std::from_chars(text->data() + at + kKey.size(), end, count);
    return read.ec == std::errc{} ? std::optional(count) : std::nullopt;
}

}  // namespace abide::kernel
