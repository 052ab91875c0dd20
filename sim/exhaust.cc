// sim/exhaust.cc -- a dependent and what it requires; all interleavings of requests, exits, readiness, ticks and stale
// inputs. The engine is a value, so a branch is a copy.
#include "exhaust.hpp"

#include <cstdio>

#include "model/codec.hpp"
#include "world.hpp"

namespace abide::sim {

using namespace model;

namespace {

core::Engine two_services() {
    core::Snapshot snapshot;
    const auto add = [&](ServiceSpec spec) {
        Service service;
        service.name = spec.name;
        service.spec = spec_hash(spec);
        snapshot.specs.emplace(service.spec, std::move(spec));
        snapshot.services.push_back(std::move(service));
    };
    ServiceSpec a;
    a.name = "a";
    a.command.argv = {"a"};
    a.ready = Box(ReadySpec{});
    a.ready->probe.kind = ProbeKind::notify;
    a.restart_delay = Box(RestartSpec{});
    a.restart_delay->limit_count = 2;
    add(a);
    ServiceSpec b;
    b.name = "b";
    b.command.argv = {"b"};
    b.dependencies.push_back({Relation::requires_, "a", Await::ready, OnLoss::stop});
    b.hooks = Box(Hooks{});
    b.hooks->post_stop.push_back({{"hook"}});
    add(b);
    return core::Engine(std::move(snapshot));
}

// The inputs that could come next: about the newest run and spawns of each service, and stale ones.
std::vector<Input> alphabet(const core::Engine& engine) {
    std::vector<Input> all;
    Requester admin;
    admin.permission = Permission::administer;
    const auto ask = [&](Verb verb, const char* name) {
        in::Requested request;
        request.verb = verb;
        request.names = {name};
        request.requester = admin;
        all.push_back(request);
    };
    ask(Verb::start, "b");
    ask(Verb::create, "b");
    ask(Verb::stop, "a");
    ask(Verb::restart, "a");
    for (const char* name : {"a", "b"}) {
        const Service& s = *engine.find(name);
        if (s.runs.empty()) continue;
        const Run& run = s.runs.back();
        for (const Process& p : run.processes) {
            if (p.state == ProcessState::asked) {
                all.push_back(in::Held{p.spawn});
                all.push_back(in::Executed{p.spawn});
                all.push_back(in::SpawnFailed{p.spawn, "exec", 2});
            }
            if (p.role != Role::main) all.push_back(in::Exited{p.spawn, {ExitKind::code, 0, false, {}, {}}});
            all.push_back(in::Exited{p.spawn, {ExitKind::code, 1, false, {}, {}}});
        }
        all.push_back(in::Emptied{name, run.number});
        in::Notified ready;
        ready.service = name;
        ready.run = run.number;
        ready.ready = true;
        all.push_back(ready);
    }
    all.push_back(in::Exited{SpawnId{1}, {ExitKind::code, 0, false, {}, {}}});  // stale, mostly
    all.push_back(in::Ticked{});
    return all;
}

class Search {
  public:
    std::string failure;
    std::uint64_t states = 0;

    void go(const core::Engine& engine, const World& world, Now now, int depth) {
        if (depth == 0 || !failure.empty()) return;
        for (const Input& input : alphabet(engine)) {
            Now then = now;
            if (std::holds_alternative<in::Ticked>(input)) {
                if (engine.next_deadline() == kNever) continue;
                then.mono = std::max(then.mono, engine.next_deadline());
            }
            core::Engine next = engine;
            const std::vector<Effect> effects = next.step(input, then);
            states += 1;
            const Step step{engine, next, input, effects, then};
            for (const Invariant& invariant : invariants()) {
                const std::string problem = invariant.check(world, step);
                if (problem.empty()) continue;
                failure = std::string(invariant.name) + ": " + problem + " (input " + std::to_string(input.index()) +
                          " at depth " + std::to_string(depth) + ")";
                return;
            }
            go(next, world, then, depth - 1);
            if (!failure.empty()) return;
        }
    }
};

}  // namespace

std::string exhaust(int depth) {
    // An empty world: the search itself plays the kernel.
    const World world(1, {}, Faults::none());
    Search search;
    const Now now{{seconds(1).ns}, {seconds(1).ns}, {seconds(1).ns}};
    search.go(two_services(), world, now, depth);
    std::printf("abide-sim: %llu sequences up to depth %d\n", static_cast<unsigned long long>(search.states), depth);
    return search.failure;
}

}  // namespace abide::sim
