// tests/unit/core/driver.hpp -- the engine with a well-behaved kernel: spawns succeed at once, signals end processes,
// and a test says the rest.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "model/codec.hpp"
#include "model/text.hpp"

namespace abide::test {

using namespace model;

inline ServiceSpec service(std::string name) {
    ServiceSpec spec;
    spec.name = std::move(name);
    spec.command.argv = {"/bin/program"};
    return spec;
}

inline Dependency needs(std::string target, Await await = Await::ready, OnLoss loss = OnLoss::ignore) {
    return {Relation::requires_, std::move(target), await, loss};
}

class Driver {
  public:
    explicit Driver(std::vector<ServiceSpec> specs) {
        core::Snapshot snapshot;
        snapshot.instance.spec.name = "test";
        for (ServiceSpec& spec : specs) {
            Service s;
            s.name = spec.name;
            s.spec = spec_hash(spec);
            s.enabled = spec.autostart;
            snapshot.specs.emplace(s.spec, std::move(spec));
            snapshot.services.push_back(std::move(s));
        }
        engine = core::Engine(std::move(snapshot));
    }

    void boot() { give(in::Recovered{{}, true}); }

    void give(const Input& input) {
        std::vector<Input> inputs{input};
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            for (const Effect& effect : engine.step(inputs[i], now)) {
                effects.push_back(effect);
                answer(effect, inputs);
            }
        }
    }

    OperationId ask(Verb verb, std::vector<std::string> names, Duration timeout = {}) {
        in::Requested request;
        request.verb = verb;
        request.names = std::move(names);
        request.requester.permission = permission;
        request.timeout = timeout;
        give(request);
        return engine.instance().last_operation;
    }

    void pass(Duration d) {
        const Mono until = now.mono + d;
        for (int i = 0; i < 10'000 && engine.next_deadline() <= until; ++i) {
            const Mono next = std::max(engine.next_deadline(), now.mono);
            advance(next - now.mono);
            give(in::Ticked{});
        }
        advance(until - now.mono);
    }

    void exit(const std::string& name, int code) { end(name, {ExitKind::code, code, false, {}, {}}); }
    void end(const std::string& name, ExitStatus status) {
        const Service* s = engine.find(name);
        if (s == nullptr || s->runs.empty()) return;
        for (const Process& p : s->runs.back().processes) {
            if (p.role != Role::main) continue;
            give(in::Exited{p.spawn, status});
            return;
        }
    }
    // The command of this role ends.
    void command_ends(const std::string& name, Role role, int code) {
        for (const Process& p : engine.find(name)->runs.back().processes) {
            if (p.role != role) continue;
            give(in::Exited{p.spawn, {ExitKind::code, code, false, {}, {}}});
            return;
        }
    }
    void notify_ready(const std::string& name) {
        in::Notified ready;
        ready.service = name;
        ready.run = engine.find(name)->last_run;
        ready.ready = true;
        give(ready);
    }

    std::string state(const std::string& name) const {
        const Service* s = engine.find(name);
        return s == nullptr ? "gone" : to_text(s->state);
    }
    Outcome outcome(OperationId id) const { return engine.operation(id)->outcome; }

    template <class T>
    std::vector<T> take() {
        std::vector<T> found;
        for (const Effect& effect : effects) {
            if (const T* fx = std::get_if<T>(&effect)) found.push_back(*fx);
        }
        effects.clear();
        return found;
    }
    // Names of the services whose main process was started, in order.
    std::vector<std::string> started() {
        std::vector<std::string> names;
        for (const out::Spawn& fx : take<out::Spawn>()) {
            if (fx.role == Role::main) names.push_back(fx.service);
        }
        return names;
    }

    core::Engine engine;
    Now now{{seconds(100).ns}, {seconds(100).ns}, {seconds(1'000'000).ns}};
    std::vector<Effect> effects;
    Permission permission = Permission::administer;
    bool kills = true, dies_of_term = true, hooks_succeed = true, execs = true;
    bool leaves_children = false;    // somebody of a run lives on after a post-stop command
    std::int32_t first_pid = 5000;   // of every container; 0: none is found
    std::string why_not_created;     // what the runtime says of a create that failed
    Role waits_for = Role::action;   // commands of this role go on until the test ends them
    bool holds = true, goes = true;  // what is to be held is; what is let go executes
    bool freezes = true;             // and tells so; else the test does
    bool tells = true;               // of what it started; else the test does

  private:
    void advance(Duration d) {
        now.mono = now.mono + d;
        now.boot = now.boot + d;
        now.wall.ns += d.ns;
    }
    void answer(const Effect& effect, std::vector<Input>& inputs) {
        if (const auto* fx = std::get_if<out::Spawn>(&effect)) {
            if (!tells) return;
            if (!execs) {
                inputs.push_back(in::SpawnFailed{fx->spawn, "exec", 2});
                return;
            }
            inputs.push_back(in::Spawned{fx->spawn, static_cast<std::int32_t>(1000 + fx->spawn.value), 1});
            if (fx->hold) {
                if (holds) inputs.push_back(in::Held{fx->spawn});
                return;
            }
            inputs.push_back(in::Executed{fx->spawn});
            if (fx->role == waits_for) return;  // the test tells its end
            if (fx->role != Role::main) {
                inputs.push_back(in::Exited{fx->spawn, {ExitKind::code, hooks_succeed ? 0 : 1, false, {}, {}}});
            }
        } else if (const auto* find = std::get_if<out::FindMain>(&effect)) {
            const std::int32_t pid = find->failed ? 0 : first_pid;
            inputs.push_back(in::FoundMain{find->service, find->run, pid, 1, find->failed ? why_not_created : "none"});
        } else if (const auto* go = std::get_if<out::LetGo>(&effect)) {
            if (goes) inputs.push_back(in::Executed{go->spawn});
        } else if (const auto* term = std::get_if<out::Signal>(&effect)) {
            if (dies_of_term && term->signal != 1 && term->signal != 18) kill(term->service, term->signal, inputs);
        } else if (const auto* all = std::get_if<out::KillAll>(&effect)) {
            kill(all->service, 9, inputs);
        } else if (const auto* freeze = std::get_if<out::Freeze>(&effect)) {
            if (freezes) inputs.push_back(in::Frozen{freeze->service, freeze->run, freeze->frozen, {}});
        } else if (const auto* watch = std::get_if<out::WatchEmpty>(&effect)) {
            const Service* s = engine.find(watch->service);
            const bool tidied = s != nullptr && !s->runs.empty() && s->runs.back().stage == Stage::post_stop &&
                                s->runs.back().processes.empty();
            if (kills && !(leaves_children && tidied)) inputs.push_back(in::Emptied{watch->service, watch->run});
        }
    }
    void kill(const std::string& name, int signal, std::vector<Input>& inputs) {
        if (!kills) return;
        const Service* s = engine.find(name);
        if (s == nullptr || s->runs.empty()) return;
        for (const Process& p : s->runs.back().processes) {
            inputs.push_back(in::Exited{p.spawn, {ExitKind::signal, signal, false, {}, {}}});
        }
    }
};

}  // namespace abide::test
