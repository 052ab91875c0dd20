// sim/world.cc -- see world.hpp.
#include "world.hpp"

#include <algorithm>
#include <cstdio>

#include "model/codec.hpp"
#include "model/text.hpp"

namespace abide::sim {

using namespace model;

std::uint64_t Random::next() {
    x_ ^= x_ >> 12;
    x_ ^= x_ << 25;
    x_ ^= x_ >> 27;
    return (x_ * 0x2545f4914f6cdd1dULL) >> 11;
}

Faults Faults::draw(Random& random) {
    Faults f;
    const auto rate = [&](std::uint64_t most) { return random.one_in(2) ? 0 : random.below(most) + 1; };
    f.crash = rate(6);
    f.spawn_fails = rate(15);
    f.dies_before_exec = rate(10);
    f.exits_early = rate(40);
    f.ignores_term = rate(30);
    f.never_ready = rate(15);
    f.leaves_children = rate(30);
    f.doubled = rate(15);
    f.stale = rate(15);
    f.late = rate(20);
    f.hook_fails = rate(20);
    f.unhealthy = rate(30);
    return f;
}

World::World(std::uint64_t seed, Configuration configuration, Faults faults) : random_(seed), faults_(faults) {
    core::Snapshot snapshot;
    snapshot.instance.spec = configuration.instance;
    for (const ServiceSpec& spec : configuration.services) {
        const std::uint64_t hash = spec_hash(spec);
        snapshot.specs.emplace(hash, spec);
        Service service;
        service.name = spec.name;
        service.spec = hash;
        service.enabled = spec.autostart;
        snapshot.services.push_back(std::move(service));
    }
    written_ = snapshot;
    engine_ = core::Engine(std::move(snapshot));
    give(in::Recovered{{}, true});
}

void World::later(Duration delay, Input input) {
    if (faults_.late != 0 && random_.percent(faults_.late))
        delay.ns += static_cast<std::int64_t>(random_.below(3'000'000'000));
    pending_.emplace(now_.mono + delay, std::move(input));
}

bool World::advance() {
    if (ended_ || !violation_.empty()) return false;
    const Mono deadline = engine_.next_deadline();
    const Mono next = pending_.empty() ? kNever : pending_.begin()->first;
    FakeProcess* dying = nullptr;
    for (auto& [spawn, process] : processes_) {
        if (process.alive && process.dies_at != kNever && (dying == nullptr || process.dies_at < dying->dies_at))
            dying = &process;
    }
    const Mono death = dying == nullptr ? kNever : dying->dies_at;
    const Mono at = std::min({deadline, next, death});
    if (at == kNever) return false;
    const Duration passed{std::max<std::int64_t>(0, at.ns - now_.mono.ns)};
    now_.mono = now_.mono + passed;
    now_.boot = now_.boot + passed;
    now_.wall.ns += passed.ns;
    if (random_.one_in(50))
        now_.wall.ns += static_cast<std::int64_t>(random_.below(7'200'000'000'000)) - 3'600'000'000'000;
    if (death == at) {
        die(*dying, dying->exit);
        return true;
    }
    if (deadline <= next) {
        give(in::Ticked{});
        return true;
    }
    const Input input = std::move(pending_.extract(pending_.begin()).mapped());
    give(input);
    if (faults_.doubled != 0 && random_.percent(faults_.doubled)) give(input);
    if (faults_.stale != 0 && !history_.empty() && random_.percent(faults_.stale)) {
        const Input old = history_[random_.below(history_.size())];
        give(old);
    }
    return true;
}

void World::give(const Input& input) {
    if (ended_ || !violation_.empty()) return;
    if (std::holds_alternative<in::Exited>(input) || std::holds_alternative<in::Emptied>(input) ||
        std::holds_alternative<in::Spawned>(input) || std::holds_alternative<in::Held>(input) ||
        std::holds_alternative<in::Executed>(input)) {
        history_.push_back(input);
        if (history_.size() > 64) history_.pop_front();
    }
    if (const auto* exited = std::get_if<in::Exited>(&input)) {
        const auto it = processes_.find(exited->spawn);
        if (it != processes_.end()) it->second.reported = true;
    }
    if (const auto* said = std::get_if<in::Notified>(&input)) kept_.insert(said->fds.begin(), said->fds.end());
    const core::Engine before = engine_;
    const std::vector<Effect> effects = engine_.step(input, now_);
    steps_ += 1;
    if (trace) {
        std::printf("%.3f input %zu ->", static_cast<double>(now_.mono.ns) / 1e9, input.index());
        for (const Effect& effect : effects) {
            std::printf(" %zu", effect.index());
            std::visit(
                [](const auto& fx) {
                    if constexpr (requires { fx.service; }) std::printf("(%s)", fx.service.c_str());
                    if constexpr (requires { fx.event; }) std::printf("(%s)", fx.event.subject.c_str());
                },
                effect);
        }
        for (const Service* s : engine_.services()) {
            std::printf(" %s:%s", s->name.c_str(), to_text(s->state).c_str());
            if (!s->runs.empty()) std::printf("/%s", to_text(s->runs.back().stage).c_str());
        }
        std::printf("\n");
    }
    const Step step{before, engine_, input, effects, now_};
    for (const Invariant& invariant : invariants()) {
        std::string problem = invariant.check(*this, step);
        if (problem.empty()) continue;
        violation_ = std::string(invariant.name) + ": " + problem;
        return;
    }
    journal();
    // The manager may die between the journal and the effects, or in the middle of them.
    if (faults_.crash != 0 && random_.percent(faults_.crash)) {
        const std::size_t done = random_.below(effects.size() + 1);
        carry_out({effects.begin(), effects.begin() + static_cast<std::ptrdiff_t>(done)});
        half_sent_.clear();
        crash_manager();
        return;
    }
    carry_out(effects);
    finish_turn();
}

// What changed is encoded and decoded on its way, as in the real journal.
void World::journal() {
    const core::Changes changes = engine_.take_changes();
    const core::Snapshot now = engine_.snapshot();
    const auto service_of = [&](const std::string& name) -> const Service* {
        for (const Service& s : now.services) {
            if (s.name == name) return &s;
        }
        return nullptr;
    };
    for (const std::string& name : changes.removed_services) {
        std::erase_if(written_.services, [&](const Service& s) { return s.name == name; });
    }
    for (const std::string& name : changes.services) {
        const Service* s = service_of(name);
        if (s == nullptr) continue;
        std::string text;
        encode(text, *s);
        Result<Service> back = decode<Service>(text);
        if (!back || !(*back == *s)) {
            violation_ = "round trip of " + name + ": " + (back ? "differs" : back.error().what) + ": " + text;
            return;
        }
        std::erase_if(written_.services, [&](const Service& old) { return old.name == name; });
        written_.services.push_back(std::move(*back));
    }
    for (const std::uint64_t hash : changes.specs) written_.specs[hash] = now.specs.at(hash);
    for (const std::uint64_t hash : changes.dropped_specs) written_.specs.erase(hash);
    if (changes.instance) written_.instance = now.instance;
    for (const OperationId id : changes.operations) {
        std::erase_if(written_.operations, [&](const Operation& op) { return op.id == id; });
        if (const Operation* op = engine_.operation(id)) written_.operations.push_back(*op);
    }
    for (const OperationId id : changes.dropped_operations) {
        std::erase_if(written_.operations, [&](const Operation& op) { return op.id == id; });
    }
    violation_ = not_written(now);
}

// All that is true is in the journal; only the watchdog's pings are not.
std::string World::not_written(const core::Snapshot& now) const {
    if (!(written_.instance == now.instance)) return "journal: the instance changed and was not written";
    const auto without_pings = [](Service service) {
        for (Run& run : service.runs) run.watchdog_at.reset();
        return service;
    };
    for (const Service& service : now.services) {
        const auto known = std::ranges::find(written_.services, service.name, &Service::name);
        if (known == written_.services.end() || !(without_pings(*known) == without_pings(service)))
            return "journal: " + service.name + " changed and was not written";
    }
    for (const Operation& operation : now.operations) {
        const auto known = std::ranges::find(written_.operations, operation.id, &Operation::id);
        if (known == written_.operations.end() || !(*known == operation))
            return "journal: operation " + std::to_string(operation.id.value) + " changed and was not written";
    }
    return {};
}

void World::crash_manager() {
    std::sort(written_.services.begin(), written_.services.end(),
              [](const Service& a, const Service& b) { return a.name < b.name; });
    engine_ = core::Engine(written_);
    watched_.clear();
    in::Recovered recovered;
    recovered.signalled = signalled_;
    recovered.signalled_others = signalled_others_;
    std::vector<Input> exits, said;
    std::set<FdKey> claimed;
    for (const Service* service : engine_.services()) {
        for (const StoredDescriptor& one : service->stored) claimed.insert(one.key);
        for (const Run& run : service->runs) {
            for (const Process& process : run.processes) {
                const auto it = processes_.find(process.spawn);
                in::Recovered::Found found;
                found.spawn = process.spawn;
                if (it == processes_.end() && process.adopted) {
                    // The journal knew of it before the effect was carried out.
                    on(out::Adopt{service->name, run.number, process.spawn, process.pid, process.start_ticks});
                    found.alive = processes_.at(process.spawn).alive;
                    found.pid = process.pid;
                } else if (it == processes_.end()) {
                    // Asked, and no trace: a hook or a main process may be asked for again.
                    found.never_ran = true;
                } else {
                    found.alive = it->second.alive;
                    found.pid = it->second.pid;
                    // One that is held says again where it is, and one that was, that it executed.
                    if (it->second.hold && !process.adopted) {
                        if (it->second.executed)
                            said.push_back(in::Executed{process.spawn});
                        else if (found.alive)
                            said.push_back(in::Held{process.spawn});
                    }
                    if (!found.alive) exits.push_back(in::Exited{process.spawn, it->second.exit});
                }
                recovered.processes.push_back(found);
            }
        }
    }
    std::erase_if(kept_, [&](FdKey key) { return !claimed.contains(key); });
    // What was on its way to the dead manager is lost; the kernel's facts are not.
    std::erase_if(pending_, [](const auto& entry) {
        return std::holds_alternative<in::Exited>(entry.second) || std::holds_alternative<in::Emptied>(entry.second) ||
               std::holds_alternative<in::Spawned>(entry.second) || std::holds_alternative<in::Held>(entry.second) ||
               std::holds_alternative<in::Executed>(entry.second) ||
               std::holds_alternative<in::SpawnFailed>(entry.second) ||
               std::holds_alternative<in::FoundMain>(entry.second) || std::holds_alternative<in::Probed>(entry.second);
    });
    const Faults kept = faults_;
    faults_.crash = 0;
    give(recovered);
    for (const Input& word : said) give(word);
    for (const Input& exit : exits) give(exit);
    // What was not told before the crash is found out by the next manager; the second of two answers is a stray.
    for (const auto& [id, operation] : engine_.operations()) {
        if (operation.verb != Verb::upgrade || operation.outcome != Outcome::pending) continue;
        later(seconds(1), in::UpgradeEnded{id, Outcome::failed, "interrupted"});
    }
    faults_ = kept;
}

void World::ask(Verb verb, std::vector<std::string> names, Duration timeout) {
    Requester requester;
    requester.permission = Permission::administer;
    in::Requested request;
    request.verb = verb;
    request.names = std::move(names);
    request.requester = requester;
    request.timeout = timeout;
    give(request);
}

}  // namespace abide::sim
