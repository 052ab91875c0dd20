// kernel/spawn_outcome.cc -- what became of a child: its own descriptor table, its exec, its failure, its death.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.hpp"
#include "kernel/process.hpp"
#include "kernel/spawn_impl.hpp"

namespace abide::kernel {

void Spawner::Impl::unstage(Flight& flight) {
    staging_.release(flight.block_begin, flight.block_count);
    flight.block_count = 0;
    if (flight.memory) flight.memory->request.owned.clear();
    if (flight.watched) {
        flight.watched = false;
        static_cast<void>(epoll_.remove(flight.pidfd.get()));
    }
}

// True when the flight's table isn't ours any more, and nothing is staged.
bool Spawner::Impl::settle_table(std::uint64_t serial, Flight& flight, bool going_to_sleep) {
    std::uint32_t* state = &flight.memory->plan.unshare_state;
    std::uint32_t now = __atomic_load_n(state, __ATOMIC_ACQUIRE);
    if (now == kTableShared && going_to_sleep) {
        if (__atomic_compare_exchange_n(state, &now, kParentWaits, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            // It wakes us when it has unshared, or by its death.
            flight.watched = flight.pidfd && epoll_.add(flight.pidfd.get(), EPOLLIN, serial * 2 + 1).has_value();
            return false;
        }
    }
    if (now != kTableUnshared && now != kTableStuck) return false;
    unstage(flight);
    return true;
}

void Spawner::Impl::sweep_unshared(bool going_to_sleep) {
    std::erase_if(sharing_, [&](std::uint64_t serial) {
        const auto found = flights_.find(serial);
        return found == flights_.end() || settle_table(serial, found->second, going_to_sleep);
    });
}

// Dead: it won't touch the table any more, whatever its state says.
void Spawner::Impl::child_died(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    if (found == flights_.end() || found->second.block_count == 0) return;
    unstage(found->second);
    std::erase(sharing_, serial);
}

void Spawner::Impl::free_memory(Flight& flight) {
    if (flight.stack != nullptr) stacks_.give(std::exchange(flight.stack, nullptr));
    flight.memory.reset();
}

void Spawner::Impl::read_hold_word(Flight& flight, const HoldMessage& message) {
    flight.hold_word = message.word;
    // It was executed, so nothing of ours is in use any more.
    if (flight.memory) free_memory(flight);
    if (message.word == kHoldHeld && !flight.held) {
        flight.held = true;
        if (!std::exchange(flight.not_in_count, true)) --counted_;
        SpawnEvent event;
        event.token = flight.token;
        event.kind = SpawnEventKind::held;
        event.pid = flight.pid;
        events_.push_back(std::move(event));
    }
    if (message.word == kHoldFailed) {
        flight.hold_stage = static_cast<SpawnStage>(message.stage);
        flight.hold_err = message.err;
    }
}

void Spawner::Impl::read_outcome(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    if (found == flights_.end()) return;
    Flight& flight = found->second;
    for (;;) {
        HoldMessage message{};
        const Result<std::size_t> n = read_some(flight.outcome.get(), &message, sizeof(message));
        if (!n || *n == kNothingNow) return;  // an error is no end: the child may still run on our memory
        if (n && *n == sizeof(message)) {
            read_hold_word(flight, message);
            continue;
        }
        land(serial);
        return;
    }
}

// End of file on the outcome pipe: executed or dead.
SpawnEvent Spawner::Impl::judge(Flight& flight) const {
    SpawnEvent event;
    event.token = flight.token;
    event.pid = flight.pid;
    event.kind = SpawnEventKind::failed;
    event.stage = SpawnStage::killed;
    if (flight.hold_word == kHoldExec) {
        event.kind = SpawnEventKind::executed;
        return event;
    }
    if (flight.hold_word == kHoldFailed) {
        event.stage = flight.hold_stage;
        event.err = flight.hold_err;
        return event;
    }
    if (!flight.memory) {  // abide-hold was killed, or a predecessor has read that it executed
        if (!flight.let_go) return event;
        const Result<ProcessStat> seen = process_stat(flight.pid);  // of one without a pidfd: of anybody
        if (!flight.pidfd || !seen || seen->name != kHoldComm) event.kind = SpawnEventKind::executed;
        return event;
    }
    const ChildPlan& plan = flight.memory->plan;
    const auto stage = static_cast<SpawnStage>(__atomic_load_n(&plan.stage, __ATOMIC_ACQUIRE));
    event.err = __atomic_load_n(&plan.err, __ATOMIC_ACQUIRE);
    if (event.err != 0) {
        event.stage = stage;
        return event;
    }
    if (stage != SpawnStage::exec || flight.through_hold) return event;
    // The last doubt: killed inside execve.  A living process has executed, but for the moment between its files and
    // its exit, and then its exit says SIGKILL; of a dead one that is not reaped the kernel remembers it in
    // PF_FORKNOEXEC.  (The pidfd tells that the pid is still its own.)
    const bool alive = flight.pidfd && !has_ended(flight.pidfd.get());
    if (!alive) {
        const Result<ProcessStat> seen = process_stat(flight.pid);
        if (seen && seen->never_executed && flight.pidfd && send_signal(flight.pidfd.get(), 0)) return event;
    }
    event.kind = SpawnEventKind::executed;
    return event;
}

void Spawner::Impl::land(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    Flight& flight = found->second;
    if (flight.block_count > 0) child_died(serial);
    events_.push_back(judge(flight));
    if (flight.outcome_watched) static_cast<void>(epoll_.remove(flight.outcome.get()));
    if (flight.memory) free_memory(flight);
    if (!flight.not_in_count) --counted_;
    if (flight.outcome_end) pipes_.give({std::move(flight.outcome), std::move(flight.outcome_end)});
    flights_.erase(found);
}

Status Spawner::Impl::resume(std::uint64_t token, pid_t pid, int pidfd, Fd told, bool let_go) {
    Flight flight;
    flight.token = token;
    flight.pid = pid;
    if (pidfd >= 0) flight.pidfd = Fd(::fcntl(pidfd, F_DUPFD_CLOEXEC, kStagingEnd));
    if (pidfd >= 0 && !flight.pidfd) return fail_errno(errno, "can't duplicate a descriptor");
    flight.outcome = std::move(told);
    flight.let_go = let_go;
    flight.through_hold = flight.not_in_count = true;
    flight.hold_word = kHoldRunning;
    flight.outcome_watched = true;
    const std::uint64_t serial = ++last_serial_;
    const int outcome = flight.outcome.get();
    flights_.emplace(serial, std::move(flight));
    return epoll_.add(outcome, EPOLLIN, serial * 2);
}

// From now on its end of file is the child's alone.
bool Spawner::Impl::watch_outcome(std::uint64_t serial, Flight& flight) {
    flight.outcome_end.reset();
    flight.outcome_watched = epoll_.add(flight.outcome.get(), EPOLLIN, serial * 2).has_value();
    return flight.outcome_watched;
}

// Most children execute while the next ones are started: the kernel has cleared their word by the time that we look,
// and their outcome needs no watch.  Only for those that we would sleep on it is worth its three calls.
void Spawner::Impl::sweep_unwatched(bool going_to_sleep) {
    std::erase_if(unwatched_, [&](std::uint64_t serial) {
        const auto found = flights_.find(serial);
        if (found == flights_.end()) return true;
        Flight& flight = found->second;
        const bool gone = flight.memory && !flight.through_hold && !flight.watched &&
                          __atomic_load_n(&flight.memory->plan.in_our_memory, __ATOMIC_ACQUIRE) == 0;
        if (gone) {
            land(serial);
            return true;
        }
        if (!going_to_sleep && !flight.through_hold) return false;
        if (watch_outcome(serial, flight)) return true;
        // ENOSPC (fs.epoll.max_user_watches) or ENOMEM, and no fault of this child's: it is looked at by the clock.
        read_outcome(serial);
        return !flights_.contains(serial);
    });
    if (going_to_sleep && !unwatched_.empty()) be_patient(true);
}

void Spawner::Impl::collect() {
    sweep_unshared(false);
    sweep_unwatched(false);
    const Result<std::span<const Ready>> ready = epoll_.wait(Mono{0});
    CHECK(ready.has_value(), "our own epoll can't be read");
    for (const Ready& r : *ready) {
        if (r.token == kWakeToken) {
            std::uint64_t count = 0;
            static_cast<void>(::read(wake_, &count, sizeof(count)));
            poked_ = false;
        } else if (r.token == kPatienceToken) {
            be_patient(false);                   // takes back the expiry
            out_of_patience_ = !queue_.empty();  // else it was set for sweep_unwatched()
        } else if (r.token % 2 == 1) {
            child_died(r.token / 2);
        } else {
            read_outcome(r.token / 2);
        }
    }
    sweep_unshared(false);
}

}  // namespace abide::kernel
