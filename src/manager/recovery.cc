// manager/recovery.cc -- see the header.
#include "manager/recovery.hpp"

#include "kernel/hold.hpp"
#include "kernel/process.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/token.hpp"
#include "model/signal.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kAtOnce = 16;  // services between two looks at what else there is

using Found = model::in::Recovered::Found;

class Search {
  public:
    explicit Search(const RecoveryUses& uses) : uses_(uses) {}

    Status process(const model::Service& service, const model::Run& run, const model::Process& process) {
        Found found;
        found.spawn = process.spawn;
        if (process.pid > 0 && !is_before_exec(process)) {
            known(process, found);
        } else if (const std::int32_t pid = child_of(process.spawn); pid != 0) {
            recorded(pid, found);
        } else {
            doubtful_.push_back({service, run, process});
            return {};
        }
        return take_found(service, run, process, found);
    }

    // Asked for, and no word of its own when the journal was read.  It may have told its pid, executed and ended in
    // between; or it is on its way there, in its group or not yet.  So the journal is closed to it, and has the last
    // word: who has not told its pid by then ends before its program, with a status that says nothing of the service.
    Status doubtful() {
        if (doubtful_.empty()) return {};
        if (Status fenced = uses_.journal.fence(uses_.engine, uses_.anchor); !fenced) return fenced;
        for (const Doubtful& one : doubtful_) {
            Found found;
            found.spawn = one.process.spawn;
            if (const std::int32_t pid = child_of(found.spawn); pid != 0)
                recorded(pid, found);
            else
                found.never_ran = true;
            if (Status taken = take_found(one.service, one.run, one.process, found); !taken) return taken;
        }
        return {};
    }
    model::in::Recovered take() { return std::move(result_); }

  private:
    struct Doubtful {
        const model::Service& service;
        const model::Run& run;
        const model::Process& process;
    };

    Status take_found(const model::Service& service, const model::Run& run, const model::Process& process,
                      Found found) {
        if (process.role == model::Role::container_create) uses_.processes.expect_child_of(process.spawn);
        const bool may_be_held = process.role == model::Role::main && run.hold;
        if (may_be_held && process.state != model::ProcessState::alive && !found.never_ran) {
            if (Status asked = held(service, run, process, found); !asked) return asked;
        }
        if (found.pid > 0)
            uses_.tracking.add_session(run_key(service.name, run.number), {found.pid, found.start_ticks});
        result_.processes.push_back(found);
        return {};
    }

    // As it wrote by itself; 0: it did not.
    std::int32_t child_of(SpawnId spawn) const {
        const auto& children = uses_.journal.children();
        const auto child = children.find(spawn);
        return child == children.end() ? 0 : child->second;
    }

    // The news that it was born may have been journaled before it wrote anything itself.
    static bool is_before_exec(const model::Process& process) {
        if (process.state != model::ProcessState::asked) return false;
        const Result<kernel::ProcessStat> stat = kernel::process_stat(process.pid);
        return stat && stat->start_ticks == process.start_ticks && stat->never_executed;
    }

    // Its pid and start time were journaled.
    void known(const model::Process& process, Found& found) {
        Result<kernel::Checked> checked = kernel::open_with_parent(process.pid, process.start_ticks);
        found.pid = process.pid;
        found.start_ticks = process.start_ticks;
        if (!checked) return lost(process.spawn, process.pid, !process.adopted);
        keep(process.spawn, process.pid, std::move(*checked), !process.adopted, found);
    }

    // The child wrote its own pid; the news of its start died with the manager.  A child of the anchor with this pid
    // that was not reported as ended can't be another one: the anchor reaps only what was acknowledged.
    void recorded(std::int32_t pid, Found& found) {
        const Result<kernel::ProcessStat> stat = kernel::process_stat(pid);
        found.pid = pid;
        if (!stat || stat->parent != uses_.anchor_pid) return lost(found.spawn, pid, true);
        found.start_ticks = stat->start_ticks;
        Result<kernel::Checked> checked = kernel::open_with_parent(pid, stat->start_ticks);
        if (!checked) return lost(found.spawn, pid, true);
        keep(found.spawn, pid, std::move(*checked), true, found);
    }

    // It was to be held before its exec: how it goes on, or went on until its end, it tells by a pipe that the anchor
    // kept, and now tells us.  If it can't be asked that is for the next manager: who does not ask waits for ever.
    Status held(const model::Service& service, const model::Run& run, const model::Process& process, Found& found) {
        const Processes::Tracked* known = uses_.processes.find(process.spawn);
        RunThings* things = uses_.runs.find(service.name, run.number);
        if (known == nullptr || things == nullptr) return {};
        if (things->told && things->release) {
            Result<kernel::Fd> told = things->told.duplicate();
            if (!told) return std::unexpected(told.error());
            Status resumed =
                uses_.spawner.resume(process.spawn.value, found.pid, known->pidfd.get(), std::move(*told), run.let_go);
            if (!resumed) return resumed;
            uses_.processes.unsettle(process.spawn);
            return Runs::tell_held(*things, kernel::kHoldAsk);
        }
        if (!known->pidfd) return {};
        const Result<kernel::ProcessStat> stat = kernel::process_stat(found.pid);
        found.executed = stat && stat->name != kernel::kHoldComm;
        // Without its pipes nobody could let it go.
        if (!found.executed) static_cast<void>(kernel::send_signal(known->pidfd.get(), model::kKill));
        return {};
    }

    void keep(SpawnId spawn, std::int32_t pid, kernel::Checked process, bool child, Found& found) {
        found.alive = !kernel::has_ended(process.pidfd.get());
        uses_.anchor.mark(pid, anchor::kManaged);
        // The anchor tells the end of its children: their pidfds need not wake us.
        kernel::Epoll& watching = process.parent == uses_.anchor_pid ? uses_.ends : uses_.epoll;
        const Status watched = watching.add(process.pidfd.get(), EPOLLIN, token_of(Watched::process, spawn.value));
        if (!watched) complain(describe(watched.error()));
        uses_.processes.add(spawn, pid, std::move(process.pidfd), child, true);
    }

    // No such process: the anchor still has its exit, or nobody knows it.
    void lost(SpawnId spawn, std::int32_t pid, bool child) {
        uses_.processes.add(spawn, pid, kernel::Fd{}, child, true);
        uses_.anchor.peek(pid);
    }

    const RecoveryUses& uses_;
    std::vector<Doubtful> doubtful_;
    model::in::Recovered result_;
};

}  // namespace

Result<model::in::Recovered> recover(const RecoveryUses& uses, const std::function<void()>& meanwhile) {
    std::vector<std::uint64_t> keys;
    const std::vector<const model::Service*> services = uses.engine.services();
    for (const model::Service* service : services) {
        for (const model::Run& run : service->runs) {
            const auto more = Runs::keys_of(*service, run, uses.engine.spec_of(run));
            keys.insert(keys.end(), more.begin(), more.end());
        }
    }
    Result<AnchorLink::Kept> kept = uses.anchor.get_now(keys);
    if (!kept) return std::unexpected(kept.error());
    Search search(uses);
    std::size_t done = 0;
    for (const model::Service* service : services) {
        if (done++ % kAtOnce == 0) meanwhile();
        for (const model::Run& run : service->runs) {
            uses.runs.recover(*service, run, uses.engine.spec_of(run), *kept);
            if (run.stage == model::Stage::kill || run.stage == model::Stage::post_stop)
                uses.tracking.assume_killed(service->name, run.number);
            uses.tracking.recover(service->name, run);
            for (const model::Process& process : run.processes) {
                if (process.state == model::ProcessState::exited) continue;
                if (Status found = search.process(*service, run, process); !found)
                    return std::unexpected(found.error());
            }
        }
    }
    if (Status settled = search.doubtful(); !settled) return std::unexpected(settled.error());
    return search.take();
}

}  // namespace abide::manager
