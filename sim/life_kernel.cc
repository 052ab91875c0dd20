// sim/life_kernel.cc -- how the fake kernel of a life answers each effect.
#include <algorithm>
#include <csignal>

#include "exit.hpp"
#include "life.hpp"
#include "model/signal.hpp"
#include "model/text.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr Duration kHook = milliseconds(20);

bool is_probe(Role role) {
    return role == Role::ready_probe || role == Role::health_probe;
}

}  // namespace

void Life::on(const out::Spawn& fx) {
    if (!is_probe(fx.role))
        tell(fx.service,
             "spawn " + to_text(fx.role) + " " + std::to_string(fx.step) + " of run " + std::to_string(fx.run.value));
    FakeProcess& process = processes_[fx.spawn];
    process.service = fx.service;
    process.run = fx.run;
    process.role = fx.role;
    process.pid = next_pid_++;
    process.executes_at = now_.mono + milliseconds(2);
    later(milliseconds(1), in::Spawned{fx.spawn, process.pid, kTicks, tracking_ == Tracking::control_groups});
    process.held = fx.hold;
    if (fx.hold) return later(milliseconds(2), in::Held{fx.spawn});
    later(milliseconds(2), in::Executed{fx.spawn});
    if (fx.role != Role::main || fx.service == "job") {
        later(fx.role == Role::reload ? milliseconds(300) : kHook, Death{fx.spawn, code(0)});
        return;
    }
    tell_ready(fx.service, fx.run);
}

void Life::on(const out::LetGo& fx) {
    FakeProcess& process = processes_.at(fx.spawn);
    if (!process.alive || !std::exchange(process.held, false)) return;
    tell(fx.service, "let go run " + std::to_string(fx.run.value));
    process.executes_at = now_.mono + milliseconds(2);
    later(milliseconds(2), in::Executed{fx.spawn});
    tell_ready(fx.service, fx.run);
}

void Life::tell_ready(const std::string& service, RunNumber run) {
    later(milliseconds(50), in::Notified{.service = service, .run = run, .ready = true});
}

// To whoever takes over (recovery.cc): those that are held say so again, and those that were say how it went on.
void Life::tell_held() {
    for (const in::Recovered::Found& found : findings().processes) {
        if (found.alive && processes_.at(found.spawn).held) step(in::Held{found.spawn});
        if (!found.alive && found.executed) step(in::Executed{found.spawn});
    }
}

void Life::die(SpawnId spawn, ExitStatus exit) {
    FakeProcess& process = processes_.at(spawn);
    if (!process.alive) return;
    const Key key{process.service, process.run};
    if (frozen_.contains(key) && exit.value != SIGKILL) return later(milliseconds(5), Death{spawn, exit});
    process.executed = process.has_executed(now_.mono);
    process.alive = false;
    process.exit = exit;
    if (!down_) later(milliseconds(1), in::Exited{spawn, exit});
    if (!down_) look_whether_empty(key);
}

bool Life::somebody_lives(const Key& key) const {
    return has_process(key) || std::ranges::any_of(children_, [&](const Child& child) { return child.key == key; });
}

bool Life::has_process(const Key& key) const {
    return std::ranges::any_of(processes_, [&](const auto& entry) {
        return entry.second.service == key.first && entry.second.run == key.second && entry.second.alive;
    });
}

// Whom nobody finds, nobody waits for or kills.
bool Life::is_found(const Child& child) const {
    if (tracking_ == Tracking::control_groups) return true;
    const Service* service = engine_.find(child.key.first);
    return service != nullptr && std::ranges::any_of(service->runs, [&](const Run& run) {
               return run.number == child.key.second &&
                      std::ranges::find(run.sessions, child.session) != run.sessions.end();
           });
}

bool Life::is_seen_alive(const Key& key) const {
    return has_process(key) ||
           std::ranges::any_of(children_, [&](const Child& child) { return child.key == key && is_found(child); });
}

void Life::end_children(const Key& key) {
    std::erase_if(children_, [&](const Child& child) { return child.key == key && is_found(child); });
}

void Life::look_whether_empty(const Key& key) {
    if (!watched_.contains(key) || is_seen_alive(key)) return;
    watched_.erase(key);
    later(milliseconds(1), in::Emptied{key.first, key.second});
}

void Life::on(const out::Signal& fx) {
    if (fx.signal == SIGCONT) return;
    signalled_ = fx.id;
    const Key key{fx.service, fx.run};
    const std::string line = "signal " + signal_name(fx.signal);  // when somebody is there to hear it
    const bool ignored = ignores_term_ && fx.service == name_;
    for (const auto& [spawn, process] : processes_) {
        if (process.service != fx.service || process.run != fx.run || !process.alive) continue;
        if (fx.scope == StopScope::main && process.role != Role::main) continue;
        tell(fx.service, line);
        if (!ignored) later(milliseconds(10), Death{spawn, signal_exit(fx.signal)});
    }
    if (ignored) return;
    if (fx.scope == StopScope::all) end_children(key);
    look_whether_empty(key);
}

void Life::on(const out::KillAll& fx) {
    const Key key{fx.service, fx.run};
    // As often as it takes: once is told.
    const std::string line = "signal KILL to run " + std::to_string(fx.run.value);
    const std::vector<std::string>& lines = told_[fx.service];
    if (std::ranges::find(lines, line) == lines.end()) tell(fx.service, line);
    end_children(key);
    for (const auto& [spawn, process] : processes_) {
        if (process.service == fx.service && process.run == fx.run) die(spawn, signal_exit(SIGKILL));
    }
    look_whether_empty(key);
}

void Life::on(const out::KillProcess& fx) {
    if (processes_.contains(fx.spawn)) die(fx.spawn, signal_exit(SIGKILL));
}

void Life::on(const out::Freeze& fx) {
    const Key key{fx.service, fx.run};
    fx.frozen ? void(frozen_.insert(key)) : void(frozen_.erase(key));
    later(Duration{0}, in::Frozen{fx.service, fx.run, fx.frozen, {}});
}

void Life::on(const out::WatchEmpty& fx) {
    const Key key{fx.service, fx.run};
    watched_.insert(key);
    look_whether_empty(key);
}

void Life::on(const out::Release& fx) {
    const Key key{fx.service, fx.run};
    if (somebody_lives(key)) tell(fx.service, "RELEASED WHILE SOMEBODY LIVES");
    watched_.erase(key);
    frozen_.erase(key);
}

}  // namespace abide::sim
