// sim/world.hpp -- a fake kernel around the real engine: processes, clocks, a journal, and faults, all drawn from one
// seed.
//
// The engine can't tell it from the real thing: effects go in, inputs come out, now, late, twice or never.  A crash
// throws the engine away in mid-step and builds a new one from what the journal had; what lived lives on.  Nothing here
// is random but the seed, so a failure replays from it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/engine.hpp"

namespace abide::sim {

// xorshift64*; the seed decides everything.
class Random {
  public:
    explicit Random(std::uint64_t seed) : x_(seed * 0x9e3779b97f4a7c15 + 1) {}
    std::uint64_t next();
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
    bool one_in(std::uint64_t n) { return n != 0 && below(n) == 0; }
    bool percent(std::uint64_t p) { return below(100) < p; }

  private:
    std::uint64_t x_;
};

// Which faults this seed draws, and how often (percent).  Swarm: each seed has a mix of its own.
struct Faults {
    std::uint64_t crash = 0;  // of the manager, after any step: before or after its effects
    std::uint64_t spawn_fails = 0;
    std::uint64_t dies_before_exec = 0;
    std::uint64_t exits_early = 0;  // a main process ends by itself
    std::uint64_t ignores_term = 0;
    std::uint64_t never_ready = 0;
    std::uint64_t leaves_children = 0;  // the cgroup is not empty when main is gone
    std::uint64_t doubled = 0;          // an input comes twice
    std::uint64_t stale = 0;            // an input about a past run or spawn comes
    std::uint64_t late = 0;             // an answer takes seconds
    std::uint64_t hook_fails = 0;
    std::uint64_t unhealthy = 0;
    static Faults draw(Random& random);
    static Faults none() { return {}; }
};

struct FakeProcess {
    SpawnId spawn;
    std::string service;
    RunNumber run;
    model::Role role = model::Role::main;
    std::int32_t pid = 0;
    bool alive = true, executed = false, reported = false;
    bool ignores_term = false;
    bool hold = false, let_go = false;
    Mono dies_at = kNever;  // by itself
    model::ExitStatus exit;
};

// What a runtime made for a run, and has not been told to forget.
struct FakeContainer {
    std::int32_t pid = 0;
    bool alive = true, adopted = false;
    bool deleted = false;  // the runtime was told to forget it, whether it could or not
};

// What the invariants look at: one step, from the outside.
struct Step {
    const core::Engine& before;
    const core::Engine& after;
    const model::Input& input;
    const std::vector<model::Effect>& effects;
    const Now& now;
};

class World;
struct Invariant {
    std::string_view name;
    // Empty when it holds; else what is wrong.
    std::string (*check)(const World& world, const Step& step);
};
// One file each; sim/invariants/list.cc collects them.
const std::vector<Invariant>& invariants();

class World {
  public:
    World(std::uint64_t seed, model::Configuration configuration, Faults faults);

    // Carries the world on by one event; false when nothing is left to happen.
    bool advance();
    void give(const model::Input& input);
    void ask(model::Verb verb, std::vector<std::string> names, Duration timeout = {});
    void set_faults(const Faults& faults) { faults_ = faults; }
    void crash_manager();

    const core::Engine& engine() const { return engine_; }
    const std::map<SpawnId, FakeProcess>& processes() const { return processes_; }
    const std::map<std::pair<std::string, RunNumber>, FakeContainer>& containers() const { return containers_; }
    const Now& now() const { return now_; }
    bool ended() const { return ended_; }
    std::size_t pending() const { return pending_.size(); }
    const std::string& violation() const { return violation_; }
    const std::map<OperationId, int>& replies() const { return replies_; }
    std::uint64_t steps() const { return steps_; }
    Random& random() { return random_; }
    std::uint64_t last_event() const { return last_event_; }
    const std::set<FdKey>& kept() const { return kept_; }
    bool trace = false;

  private:
    void carry_out(const std::vector<model::Effect>& effects);
    void finish_turn();
    void on(const model::out::Spawn& fx);
    void on(const model::out::LetGo& fx);
    void on(const model::out::Signal& fx);
    void signal_others(const model::out::Signal& fx);
    std::string signal_not_given() const;
    void on(const model::out::KillAll& fx);
    void on(const model::out::KillProcess& fx);
    void on(const model::out::Adopt& fx);
    void on(const model::out::FindMain& fx);
    void on(const model::out::Freeze& fx);
    void on(const model::out::Probe& fx);
    void on(const model::out::WatchEmpty& fx);
    void on(const model::out::Release& fx);
    void on(const model::out::DropStored& fx);
    void on(const model::out::Reply& fx);
    void on(const model::out::Publish& fx);
    void on(const model::out::Upgrade& fx);
    void on(const model::out::EndInstance& fx);
    void later(Duration delay, model::Input input);
    void die(FakeProcess& process, model::ExitStatus exit);
    void runtime_ended(const FakeProcess& command);
    void tell_if_empty(const std::string& service, RunNumber run);
    void started(FakeProcess& process);
    void talk(const FakeProcess& process);
    bool somebody_lives(const std::string& service, RunNumber run) const;
    void journal();
    std::string not_written(const core::Snapshot& now) const;

    Random random_;
    Faults faults_;
    core::Engine engine_;
    core::Snapshot written_;  // what the journal has, after its way through the codec
    Now now_{{seconds(1000).ns}, {seconds(1000).ns}, {seconds(1'700'000'000).ns}};
    std::multimap<Mono, model::Input> pending_;
    std::map<SpawnId, FakeProcess> processes_;
    std::map<std::pair<std::string, RunNumber>, int> children_;  // left behind in a cgroup
    std::map<std::pair<std::string, RunNumber>, FakeContainer> containers_;
    std::set<std::pair<std::string, RunNumber>> watched_;
    std::map<OperationId, int> replies_;
    std::set<FdKey> kept_;              // descriptors of services, at the anchor
    std::deque<model::Input> history_;  // for stale and doubled inputs
    std::string violation_;
    std::uint64_t steps_ = 0, last_event_ = 0;
    SignalId signalled_, signalled_others_;
    std::vector<model::out::Signal> half_sent_;  // those of the run that nobody holds come when all else is done
    std::int32_t next_pid_ = 100;
    std::uint64_t next_key_ = 0;
    bool ended_ = false;
};

// A configuration drawn from the seed: a few services, tasks and groups with dependencies of every kind, without
// cycles.
model::Configuration draw_configuration(Random& random);

}  // namespace abide::sim
