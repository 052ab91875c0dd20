// manager/sessions.cc -- see the header.
#include "manager/sessions.hpp"

#include <algorithm>

#include "kernel/process.hpp"
#include "kernel/program.hpp"

namespace abide::manager {

namespace {

constexpr int kDeepest = 4096;  // generations

void add_once(std::vector<model::Session>& list, const model::Session& session) {
    if (std::ranges::find(list, session.id, &model::Session::id) == list.end()) list.push_back(session);
}

std::vector<kernel::ProcessStat> all_living() {
    std::vector<kernel::ProcessStat> living;
    const Result<std::vector<pid_t>> all = kernel::all_processes();
    if (!all) return living;
    for (const pid_t pid : *all) {
        Result<kernel::ProcessStat> stat = kernel::process_stat(pid);
        if (stat && stat->state != 'Z' && stat->state != 'X') living.push_back(std::move(*stat));
    }
    return living;
}

}  // namespace

void Sessions::add(std::uint64_t run, const model::Session& session) {
    add_once(started_[run], session);
}

void Sessions::follow(std::uint64_t key, const model::Run& run) {
    List& list = started_[key];
    list = run.sessions;
    // A daemon that was adopted as the main process leads the session that the others of it are in.
    for (const model::Process& process : run.processes) {
        const bool is_main = process.role == model::Role::main && process.pid > 0;
        if (is_main) add_once(list, {process.pid, process.start_ticks});
    }
}

void Sessions::release(std::uint64_t run) {
    started_.erase(run);
    found_.erase(run);
}

bool Sessions::has(const std::map<std::uint64_t, List>& lists, std::uint64_t run, std::int32_t session) {
    const auto found = lists.find(run);
    return found != lists.end() && std::ranges::any_of(found->second, [&](const model::Session& one) {
               return one.id == session && kernel::is_same_session(one.id, one.start_ticks);
           });
}

bool Sessions::is_anybodys(std::int32_t session) const {
    return std::ranges::any_of(started_, [&](const auto& entry) { return is_of(entry.first, session); });
}

std::vector<Sessions::Member> Sessions::members(std::uint64_t run) {
    std::vector<Member> members;
    if (!started_.contains(run)) return members;
    std::vector<kernel::ProcessStat> others = all_living();
    const auto take = [&](auto is_member) {
        const auto rest =
            std::partition(others.begin(), others.end(), [&](const auto& one) { return !is_member(one); });
        for (auto it = rest; it != others.end(); ++it) members.push_back({it->pid, it->start_ticks});
        others.erase(rest, others.end());
    };
    take([&](const kernel::ProcessStat& one) { return is_of(run, one.session); });
    // Whoever descends from them, a generation after the other.
    for (std::size_t before = 0; before != members.size();) {
        const std::size_t known = members.size();
        take([&](const kernel::ProcessStat& one) {
            const bool below = std::any_of(members.begin() + static_cast<std::ptrdiff_t>(before), members.end(),
                                           [&](const Member& member) { return member.pid == one.parent; });
            if (below) add_once(found_[run], {one.session, kernel::start_ticks(one.session).value_or(0)});
            return below;
        });
        before = known;
    }
    return members;
}

bool Sessions::contains(std::uint64_t run, std::int32_t pid) const {
    for (int generation = 0; generation < kDeepest && pid > 1 && pid != reaper_; ++generation) {
        const Result<kernel::ProcessStat> stat = kernel::process_stat(pid);
        if (!stat) return false;
        if (is_of(run, stat->session)) return true;
        pid = stat->parent;
    }
    return false;
}

bool Sessions::adopt(std::uint64_t run, std::int32_t pid, std::uint32_t user) {
    if (contains(run, pid)) return true;
    const Result<kernel::ProcessStat> stat = kernel::process_stat(pid);
    const Result<pid_t> own = kernel::session_of(kernel::own_pid());
    if (!stat || !own || stat->parent != reaper_ || stat->session == *own || is_anybodys(stat->session)) return false;
    const Result<std::uint32_t> its = kernel::uid_of(pid);
    if (!its || *its != user) return false;
    add_once(found_[run], {stat->session, kernel::start_ticks(stat->session).value_or(0)});
    return true;
}

}  // namespace abide::manager
