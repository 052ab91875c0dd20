// manager/processes.cc -- see the header.
#include "manager/processes.hpp"

#include <utility>

namespace abide::manager {

model::ExitStatus exit_status_of(const anchor::Exit& exit, Wall now) {
    model::ExitStatus status;
    status.time = now;
    status.rusage = {static_cast<std::int64_t>(exit.user_us), static_cast<std::int64_t>(exit.system_us),
                     static_cast<std::int64_t>(exit.max_rss_kib)};
    switch (static_cast<anchor::Ended>(exit.kind)) {
        case anchor::Ended::exited:
            status.kind = model::ExitKind::code;
            status.value = exit.status;
            break;
        case anchor::Ended::dumped: status.core_dumped = true; [[fallthrough]];
        case anchor::Ended::killed:
            status.kind = model::ExitKind::signal;
            status.value = exit.status;
            break;
        case anchor::Ended::running:
        case anchor::Ended::unknown: status.rusage = {}; break;
    }
    return status;
}

void Processes::add(SpawnId spawn, std::int32_t pid, kernel::Fd pidfd, bool child, bool settled) {
    by_pid_.insert_or_assign(pid, spawn);
    by_spawn_.insert_or_assign(spawn, Tracked{std::move(pidfd), pid, child, settled, false, false});
}

std::optional<Processes::Ended> Processes::settle(SpawnId spawn, bool failed) {
    Tracked* const process = by_spawn_.find(spawn);
    if (process == nullptr) return std::nullopt;
    process->settled = true;
    process->failed = failed;
    const auto early = early_.extract(process->pid);
    if (!early) return std::nullopt;
    const Ended ended = close(spawn, *process, early.mapped());
    return failed ? std::nullopt : std::optional(ended);
}

void Processes::unsettle(SpawnId spawn) {
    if (Tracked* const process = by_spawn_.find(spawn)) process->settled = false;
}

const Processes::Tracked* Processes::find(SpawnId spawn) const {
    return by_spawn_.find(spawn);
}

std::optional<SpawnId> Processes::by_pid(std::int32_t pid) const {
    const SpawnId* const spawn = by_pid_.find(pid);
    return spawn == nullptr ? std::nullopt : std::optional(*spawn);
}

void Processes::forget(SpawnId spawn) {
    const Tracked* const process = by_spawn_.find(spawn);
    if (process == nullptr) return;
    if (process->brings_child) --bringing_;
    by_pid_.erase(process->pid);
    by_spawn_.erase(spawn);
}

Processes::Ended Processes::close(SpawnId spawn, Tracked& process, const anchor::Exit& exit) {
    ended_.push_back(std::move(process.pidfd));
    acknowledged_.push_back(exit.pid);
    if (process.brings_child) ++brought_;
    by_pid_.erase(process.pid);
    by_spawn_.erase(spawn);
    return {spawn, exit};
}

std::optional<Processes::Ended> Processes::ended(const anchor::Exit& exit, bool spawning) {
    const std::optional<SpawnId> spawn = by_pid(exit.pid);
    if (!spawn) {
        if (spawning || bringing_ != 0 || claimed_.contains(exit.pid))
            early_.insert_or_assign(exit.pid, exit);
        else
            acknowledged_.push_back(exit.pid);
        return std::nullopt;
    }
    Tracked* const process = by_spawn_.find(*spawn);
    if (!process->settled) {
        early_.insert_or_assign(exit.pid, exit);
        return std::nullopt;
    }
    const bool failed = process->failed;
    const Ended ended = close(*spawn, *process, exit);
    return failed ? std::nullopt : std::optional(ended);
}

void Processes::spawner_idle() {
    for (auto it = early_.begin(); it != early_.end();) {
        if (bringing_ != 0 || by_pid_.contains(it->first) || claimed_.contains(it->first)) {
            ++it;
            continue;
        }
        acknowledged_.push_back(it->first);
        it = early_.erase(it);
    }
}

void Processes::expect_child_of(SpawnId spawn) {
    Tracked* const process = by_spawn_.find(spawn);
    if (process != nullptr && !std::exchange(process->brings_child, true)) ++bringing_;
}

void Processes::end_turn(bool spawning) {
    if (brought_ == 0) return;
    bringing_ -= std::exchange(brought_, 0);
    if (!spawning) spawner_idle();
}

void Processes::release_memory() {
    by_spawn_.shrink_to_fit();
    by_pid_.shrink_to_fit();
}

std::vector<std::int32_t> Processes::take_acknowledged() {
    return std::exchange(acknowledged_, {});
}

}  // namespace abide::manager
