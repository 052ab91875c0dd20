// sim/kernel.cc -- how the fake kernel answers each effect.
#include <csignal>

#include "exit.hpp"
#include "world.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr Duration kSoon = milliseconds(1);

}  // namespace

void World::carry_out(const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) std::visit([this](const auto& fx) { on(fx); }, effect);
}

void World::finish_turn() {
    for (const out::Signal& fx : std::exchange(half_sent_, {})) signal_others(fx);
    if (violation_.empty()) violation_ = signal_not_given();
}

void World::on(const out::Spawn& fx) {
    if (processes_.contains(fx.spawn)) {
        violation_ = "spawn " + std::to_string(fx.spawn.value) + " of " + fx.service + " was carried out twice";
        return;
    }
    if (random_.percent(faults_.spawn_fails)) {
        // The runtime could not even be asked: the next create takes the container away.
        const auto container = containers_.find({fx.service, fx.run});
        if (container != containers_.end() && fx.role == Role::container_delete) container->second.deleted = true;
        later(kSoon, in::SpawnFailed{fx.spawn, "exec", 2});
        return;
    }
    FakeProcess process;
    process.spawn = fx.spawn;
    process.service = fx.service;
    process.run = fx.run;
    process.role = fx.role;
    process.pid = next_pid_++;
    process.ignores_term = !fx.hold && random_.percent(faults_.ignores_term);
    process.hold = fx.hold;
    FakeProcess& kept = processes_[fx.spawn] = process;
    later(Duration{1000}, in::Spawned{fx.spawn, kept.pid, static_cast<std::uint64_t>(kept.pid)});
    if (random_.percent(faults_.dies_before_exec)) {
        die(kept, signal_exit(SIGKILL));
        return;
    }
    if (fx.hold) {
        later(kSoon, in::Held{fx.spawn});
        return;
    }
    later(kSoon, in::Executed{fx.spawn});
    started(kept);
}

void World::on(const out::LetGo& fx) {
    const auto it = processes_.find(fx.spawn);
    if (it == processes_.end() || !it->second.alive || it->second.let_go) return;
    FakeProcess& process = it->second;
    process.let_go = true;
    process.ignores_term = random_.percent(faults_.ignores_term);
    if (random_.percent(faults_.dies_before_exec)) return die(process, signal_exit(SIGKILL));
    later(kSoon, in::Executed{fx.spawn});
    started(process);
}

// What a program does with its life is drawn when it starts.
void World::started(FakeProcess& process) {
    process.executed = true;
    const core::Engine::Owner owner = engine_.owner_of(process.spawn);
    if (owner.run == nullptr) return;
    const ServiceSpec& spec = engine_.spec_of(*owner.run);
    const Duration life = milliseconds(static_cast<std::int64_t>(2 + random_.below(3000)));
    if (process.role != Role::main) {
        process.exit = code(random_.percent(faults_.hook_fails) ? 1 : 0);
        process.dies_at = now_.mono + life;
        return;
    }
    if (spec.kind == Kind::task || random_.percent(faults_.exits_early)) {
        const bool bad = random_.percent(faults_.exits_early);
        process.exit = bad ? (random_.one_in(2) ? code(3) : signal_exit(SIGSEGV)) : code(0);
        process.dies_at = now_.mono + life;
    }
    for (std::uint64_t n = spec.fd_store_max == 0 ? 0 : random_.below(4); n > 0; --n) {
        in::Notified gives;
        gives.service = process.service;
        gives.run = process.run;
        gives.fd_name = random_.one_in(2) ? "a" : "";
        gives.fd_store_remove = random_.one_in(4);
        if (!gives.fd_store_remove) gives.fds = {FdKey{++next_key_}};
        later(milliseconds(static_cast<std::int64_t>(2 + random_.below(900))), gives);
    }
    talk(process);
    if (!kept_.empty() && random_.one_in(8)) later(kSoon, in::StoredLost{process.service, {*kept_.begin()}});
    const ProbeKind kind = spec.ready.or_default().probe.kind;
    const bool tells = kind == ProbeKind::notify || kind == ProbeKind::fd || kind == ProbeKind::log;
    if (tells && !random_.percent(faults_.never_ready)) {
        const Duration delay = milliseconds(static_cast<std::int64_t>(2 + random_.below(500)));
        if (kind == ProbeKind::notify) {
            in::Notified ready;
            ready.service = process.service;
            ready.run = process.run;
            ready.ready = true;
            later(delay, ready);
        } else {
            later(delay, in::BecameReady{process.service, process.run, 0, 0});
        }
    }
}

// What a program may tell at any time, besides that it is ready.
void World::talk(const FakeProcess& process) {
    for (std::uint64_t n = random_.below(4); n > 0; --n) {
        in::Notified says;
        says.service = process.service;
        says.run = process.run;
        switch (random_.below(6)) {
            case 0: says.error_number = 5; break;
            case 1: says.watchdog_us = 400'000; break;
            case 2: says.extend_timeout_us = 1'500'000; break;
            case 3: says.stopping = true; break;
            case 4: says.reloading = true; break;
            default: says.has_status = true; says.status = "message " + std::to_string(n);
        }
        later(milliseconds(static_cast<std::int64_t>(2 + random_.below(900))), says);
    }
}

void World::die(FakeProcess& process, ExitStatus exit) {
    if (!process.alive) return;
    process.alive = false;
    process.exit = exit;
    if (process.role == Role::main && random_.percent(faults_.leaves_children)) {
        children_[{process.service, process.run}] = 1;
    }
    const FakeProcess gone = process;
    runtime_ended(gone);
    later(kSoon, in::Exited{gone.spawn, exit});
    tell_if_empty(gone.service, gone.run);
}

void World::tell_if_empty(const std::string& service, RunNumber run) {
    if (watched_.contains({service, run}) && !somebody_lives(service, run)) {
        watched_.erase({service, run});
        later(kSoon, in::Emptied{service, run});
    }
}

// What a command of the runtime leaves behind.
void World::runtime_ended(const FakeProcess& command) {
    const auto key = std::pair{command.service, command.run};
    const bool good = command.exit.kind == ExitKind::code && command.exit.value == 0;
    if (command.role == Role::container_create && (good || random_.one_in(2)))
        containers_[key] = FakeContainer{next_pid_++, !random_.percent(faults_.dies_before_exec)};
    if (command.role == Role::container_start && good) {
        for (auto& [spawn, process] : processes_) {
            const bool first =
                process.role == Role::main && process.service == command.service && process.run == command.run;
            if (!first || !process.alive || process.executed) continue;
            process.let_go = true;
            started(process);
            if (!random_.one_in(4)) return;
            die(process, code(0));  // before its runtime has told that it runs
            return;
        }
    }
    if (command.role == Role::container_delete) {
        const auto it = containers_.find(key);
        if (it != containers_.end()) it->second.deleted = true;
        if (good) containers_.erase(key);
    }
}

// All effects are carried out: there is no signal that was decided on and not given.
std::string World::signal_not_given() const {
    for (const Service* service : engine_.services()) {
        for (const Run& run : service->runs) {
            if (!run.signal || run.killed) continue;
            const bool to_others = run.signal->scope == StopScope::all;
            if (run.signal->id > signalled_ || (to_others && run.signal->id > signalled_others_))
                return service->name + ": signal " + std::to_string(run.signal->id.value) + " is not given";
        }
    }
    return {};
}

void World::on(const out::Signal& fx) {
    if (fx.scope == StopScope::all) half_sent_.push_back(fx);
    if (fx.others) return;
    if (fx.id && fx.id <= signalled_)
        violation_ = fx.service + ": signal " + std::to_string(fx.id.value) + " is given twice";
    if (fx.id) signalled_ = fx.id;
    for (auto& [spawn, process] : processes_) {
        if (process.service != fx.service || process.run != fx.run || !process.alive) continue;
        if (fx.scope == StopScope::main && process.role != Role::main) continue;
        if (fx.signal == SIGHUP || fx.signal == SIGCONT || (process.ignores_term && fx.signal != SIGKILL)) continue;
        die(process, signal_exit(fx.signal));
    }
}

void World::signal_others(const out::Signal& fx) {
    if (fx.id && fx.id <= signalled_others_)
        violation_ = fx.service + ": signal " + std::to_string(fx.id.value) + " is given twice to the others";
    if (fx.id) signalled_others_ = fx.id;
    const auto key = std::pair{fx.service, fx.run};
    if (fx.signal != SIGCONT && children_.contains(key) && !random_.percent(faults_.ignores_term)) {
        children_.erase(key);
        if (watched_.contains(key) && !somebody_lives(fx.service, fx.run)) {
            watched_.erase(key);
            later(kSoon, in::Emptied{fx.service, fx.run});
        }
    }
}

void World::on(const out::KillAll& fx) {
    children_.erase({fx.service, fx.run});
    if (const auto it = containers_.find({fx.service, fx.run}); it != containers_.end()) it->second.alive = false;
    for (auto& [spawn, process] : processes_) {
        if (process.service != fx.service || process.run != fx.run || !process.alive) continue;
        process.ignores_term = false;
        die(process, signal_exit(SIGKILL));
    }
    children_.erase({fx.service, fx.run});
    tell_if_empty(fx.service, fx.run);
}

void World::on(const out::KillProcess& fx) {
    const auto it = processes_.find(fx.spawn);
    if (it != processes_.end()) die(it->second, signal_exit(SIGKILL));
}

void World::on(const out::Adopt& fx) {
    if (processes_.contains(fx.spawn)) return;
    FakeProcess process;
    process.spawn = fx.spawn;
    process.service = fx.service;
    process.run = fx.run;
    process.pid = fx.pid;
    process.executed = true;
    const auto container = containers_.find({fx.service, fx.run});
    if (container != containers_.end() && container->second.pid == fx.pid) {
        container->second.adopted = true;
        process.hold = true;
        process.executed = false;
        process.alive = container->second.alive;
        process.exit = signal_exit(SIGKILL);
        if (!process.alive) later(kSoon, in::Exited{fx.spawn, process.exit});
    }
    processes_[fx.spawn] = process;
}

void World::on(const out::FindMain& fx) {
    const auto container = containers_.find({fx.service, fx.run});
    const std::int32_t pid = container == containers_.end() || fx.failed ? 0 : container->second.pid;
    later(Duration{0}, in::FoundMain{fx.service, fx.run, pid, static_cast<std::uint64_t>(pid), "no pid file"});
}

void World::on(const out::Freeze& fx) {
    const bool fails = fx.frozen && random_.percent(faults_.hook_fails);
    later(kSoon, in::Frozen{fx.service, fx.run, fx.frozen, fails ? "drawn" : ""});
}

void World::on(const out::Probe& fx) {
    if (!fx.health && random_.percent(faults_.never_ready)) return;
    const bool ok = fx.health ? !random_.percent(faults_.unhealthy) : !random_.one_in(3);
    later(milliseconds(static_cast<std::int64_t>(1 + random_.below(50))),
          in::Probed{fx.service, fx.run, fx.probe, ok, ""});
}

bool World::somebody_lives(const std::string& service, RunNumber run) const {
    if (children_.contains({service, run})) return true;
    const auto container = containers_.find({service, run});
    if (container != containers_.end() && container->second.alive && !container->second.adopted) return true;
    for (const auto& [spawn, process] : processes_) {
        if (process.service == service && process.run == run && process.alive) return true;
    }
    return false;
}

void World::on(const out::WatchEmpty& fx) {
    if (somebody_lives(fx.service, fx.run)) {
        watched_.insert({fx.service, fx.run});
        return;
    }
    later(Duration{1000}, in::Emptied{fx.service, fx.run});
}

void World::on(const out::Release& fx) {
    watched_.erase({fx.service, fx.run});
    std::erase_if(processes_, [&](const auto& entry) {
        return entry.second.service == fx.service && entry.second.run == fx.run && !entry.second.alive;
    });
}

void World::on(const out::DropStored& fx) {
    kept_.erase(fx.key);
}
void World::on(const out::Reply& fx) {
    replies_[fx.operation.id] += 1;
}
void World::on(const out::Publish& fx) {
    last_event_ = std::max(last_event_, fx.event.id.value);
}
void World::on(const out::Upgrade& fx) {
    const auto outcome = random_.percent(50) ? Outcome::done : Outcome::rolled_back;
    later(milliseconds(static_cast<std::int64_t>(random_.below(2000))),
          in::UpgradeEnded{fx.operation, outcome, "drawn"});
}
void World::on(const out::EndInstance&) {
    ended_ = true;
}

}  // namespace abide::sim
