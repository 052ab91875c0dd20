// sim/life.cc -- see the header.
#include "life.hpp"

#include <algorithm>
#include <csignal>

#include "exit.hpp"
#include "model/codec.hpp"
#include "model/text.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr Mono kBegin{seconds(1000).ns};

Configuration configuration(const std::string& name) {
    Configuration out;
    out.instance.name = "matrix";
    ServiceSpec db;
    db.name = "db";
    db.command.argv = {"db"};
    db.ready = Box(ReadySpec{});
    db.ready->probe.kind = ProbeKind::notify;
    db.stop = Box(StopSpec{});
    db.stop->timeout = milliseconds(200);
    ServiceSpec job;
    job.name = "job";
    job.stop = db.stop;
    job.kind = Kind::task;
    job.command.argv = {"job"};
    job.dependencies.push_back({Relation::requires_, "db", Await::ready, OnLoss::ignore});
    ServiceSpec s;
    s.name = name;
    s.command.argv = {"program"};
    s.dependencies = {{Relation::requires_, "db", Await::ready, OnLoss::ignore},
                      {Relation::requires_, "job", Await::succeeded, OnLoss::ignore}};
    s.hooks = Box(Hooks{});
    for (auto* list : {&s.hooks->pre_start, &s.hooks->post_start, &s.hooks->pre_stop, &s.hooks->post_stop})
        *list = {{{"one"}}, {{"two"}}};
    s.ready = Box(ReadySpec{});
    s.ready->probe.kind = ProbeKind::notify;
    s.health = Box(HealthSpec{});
    s.health->probe.kind = ProbeKind::exec;
    s.health->every = milliseconds(700);
    s.stop = Box(StopSpec{});
    s.stop->timeout = milliseconds(500);
    s.stop->command.argv = {"stop"};
    s.reload = Box(ReloadSpec{.signal = 1, .command = {{"reload"}}, .timeout = seconds(20)});
    s.restart_delay = Box(RestartSpec{});
    out.services = {db, job, s};
    if (name.find('@') != std::string::npos) {
        ServiceSpec twin = s;  // another instance of the same template
        twin.name = name.substr(0, name.find('@')) + "@other";
        twin.health.reset();
        out.services.push_back(twin);
    }
    std::ranges::sort(out.services, {}, &ServiceSpec::name);
    return out;
}

in::Requested request(Verb verb, const std::string& name) {
    in::Requested in;
    in.verb = verb;
    if (verb != Verb::shutdown) in.names = {name};
    in.requester.permission = Permission::administer;
    return in;
}

// Survives in the kernel until somebody takes it.
bool is_kept(const Input& input) {
    return std::holds_alternative<in::Requested>(input) || std::holds_alternative<in::Notified>(input);
}

// As a newer program would have written it, with members that this one does not know; and read by this one.
template <class T>
T through_newer(const T& value) {
    std::string text;
    encode(text, value);
    text.insert(text.size() - 1, std::string(text == "{}" ? "" : ",") + R"("of-a-newer-version":{"a":[1,"x"]})");
    Unknown unknown;
    T back = decode<T>(text, unknown).value();
    std::string again;
    encode(again, back, unknown);
    return again == text ? back : T{};
}

core::Snapshot written(const core::Engine& engine, bool newer) {
    core::Snapshot snapshot = engine.snapshot();
    const auto trip = [&](auto& value) {
        if (newer) {
            value = through_newer(value);
            return;
        }
        std::string text;
        encode(text, value);
        value = decode<std::remove_reference_t<decltype(value)>>(text).value();
    };
    trip(snapshot.instance);
    for (auto& [hash, spec] : snapshot.specs) trip(spec);
    for (Service& service : snapshot.services) trip(service);
    for (Operation& operation : snapshot.operations) trip(operation);
    return snapshot;
}

}  // namespace

Life::Life(std::string name, Tracking tracking) : name_(std::move(name)), tracking_(tracking) {
    core::Snapshot snapshot;
    const Configuration wanted = configuration(name_);
    snapshot.instance.spec = wanted.instance;
    for (const ServiceSpec& spec : wanted.services) {
        Service service;
        service.name = spec.name;
        service.spec = spec_hash(spec);
        snapshot.specs.emplace(service.spec, spec);
        snapshot.services.push_back(std::move(service));
    }
    engine_ = core::Engine(std::move(snapshot));
    step(in::Recovered{{}, true});
}

// What people ask and programs do by themselves, by the time that a manager was there.
void Life::run_script() {
    if (engine_.instance().shutting_down) {
        next_line_ += 1;
        return;
    }
    const auto main_exits = [this](int value) {
        for (const auto& [spawn, process] : processes_) {
            if (process.service == name_ && process.role == Role::main && process.alive) return die(spawn, code(value));
        }
    };
    switch (next_line_++) {
        case 0: return ask(Verb::reload);
        case 1: return main_exits(1);  // the first restart is at once
        case 2: return main_exits(1);  // the second after a pause
        case 3: return ask(Verb::restart);
        case 4: return ask(Verb::stop);
        case 5: return ask(Verb::create);
        case 6: return ask(Verb::start);
        case 7: return ask(Verb::pause);
        case 8: return ask(Verb::unpause);
        case 9: ignores_term_ = true; return ask(Verb::stop);
        case 10: ignores_term_ = false; return ask(Verb::start);
        case 11: return give(request(Verb::shutdown, name_));
        default: return;
    }
}

bool Life::advance() {
    static constexpr std::int64_t kAt[] = {1500, 2500, 3300, 4500, 6000, 7000, 7300, 8000, 8300, 9000, 11000, 12500};
    if (ended_) return false;
    const Mono script = next_line_ < std::size(kAt) ? kBegin + milliseconds(kAt[next_line_]) + lost_ : kNever;
    const Mono queued = queue_.empty() ? kNever : queue_.begin()->first;
    const Mono deadline = down_ ? kNever : engine_.next_deadline();
    const Mono at = std::min({script, queued, deadline});
    if (at == kNever || at > kBegin + seconds(60)) return false;
    if (at > now_.mono) pass(at - now_.mono);
    if (queued == at) {
        const Happening what = std::move(queue_.extract(queue_.begin()).mapped());
        if (const Input* input = std::get_if<Input>(&what))
            give(*input);
        else
            die(std::get<Death>(what).spawn, std::get<Death>(what).exit);
    } else if (deadline == at) {
        give(in::Ticked{});
    } else {
        run_script();
    }
    return true;
}

void Life::pass(Duration d) {
    now_.mono = now_.mono + d;
    now_.boot = now_.boot + d;
    now_.wall.ns += d.ns;
}

void Life::ask(Verb verb) {
    give(request(verb, name_));
}

std::string Life::situation() const {
    const Service* s = engine_.find(name_);
    if (s == nullptr) return {};
    std::string text = to_text(s->state);
    if (s->runs.empty()) return text;
    const Run& run = s->runs.back();
    if (run.stage != Stage::none) text += ", " + to_text(run.stage);
    std::set<std::string> helpers;
    for (const Process& process : run.processes) {
        if (process.role != Role::main) helpers.insert(to_text(process.role));
        if (process.role == Role::main && process.state == ProcessState::asked) helpers.insert("main asked for");
    }
    for (const std::string& one : helpers) text += ", " + one;
    return text;
}

void Life::give(const Input& input) {
    if (!down_) return step(input);
    if (is_kept(input)) kept_.push_back(input);
}

void Life::step(const Input& input) {
    if (ended_) return;
    if (plan_.armed) return interrupted(input);
    const std::vector<Effect> effects = engine_.step(input, now_);
    if (older_.begun()) older_.write(engine_);
    note_effects(effects);
    carry_out(effects, 0, effects.size());
}

// Decided and journaled, whether or not it is carried out.
void Life::note_effects(const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) {
        const auto* fx = std::get_if<out::Publish>(&effect);
        if (fx == nullptr) continue;
        if (fx->event.id.value != ++events_) gap_in_events_ = "event " + std::to_string(fx->event.id.value);
        if (fx->event.type == EventType::service_healthy) continue;  // when a check was made is chance
        if (!fx->event.subject.empty())
            tell(fx->event.subject, "event " + to_text(fx->event.type) + " " + to_text(fx->event.reason));
    }
}

void Life::carry_out(const std::vector<Effect>& effects, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) std::visit([this](const auto& fx) { on(fx); }, effects[i]);
}

void Life::tell(const std::string& service, std::string line) {
    std::vector<std::string>& lines = told_[service];
    if (lines.empty() || lines.back() != line) lines.push_back(std::move(line));
}

// ---- the gap -------------------------------------------------------------------------------------------------------

void Life::interrupted(const Input& input) {
    plan_.armed = false;
    const How how = plan_.how;
    std::vector<Effect> effects;
    std::size_t done = 0;
    if (how == How::killed_before_the_record) {
        if (is_kept(input)) kept_.push_back(input);
        if (const auto* emptied = std::get_if<in::Emptied>(&input)) watched_.insert({emptied->service, emptied->run});
    } else {
        effects = engine_.step(input, now_);
        note_effects(effects);
        done = effects.size();
        if (how == How::killed_before_the_effects || how == How::out_of_memory) done = 0;
        if (how == How::segfault_amid_the_effects) done /= 2;
        carry_out(effects, 0, done);
    }
    if (ended_) return;
    stand_still(how == How::hang_of_ten_seconds ? seconds(10) : milliseconds(15), plan_.then);
    if (plan_.loses) return next_manager();
    carry_out(effects, done, effects.size());
    go_on_late();
}

// Nobody listens: what happens is kept by the kernel, or is to be found out.
void Life::stand_still(Duration gap, Then then) {
    down_ = true;
    if (plan_.loses) watched_.clear();
    for (auto it = queue_.begin(); it != queue_.end();) {
        const Input* input = std::get_if<Input>(&it->second);
        if (input == nullptr || is_kept(*input)) {
            ++it;
            continue;
        }
        const auto* emptied = std::get_if<in::Emptied>(input);
        if (emptied != nullptr && !plan_.loses) watched_.insert({emptied->service, emptied->run});
        it = queue_.erase(it);
    }
    if (plan_.loses && plan_.how == How::out_of_memory) {
        for (const auto& [spawn, process] : processes_) {
            if (!process.alive || process.executes_at <= now_.mono) continue;
            took_children_ = true;
            die(spawn, signal_exit(SIGKILL));
        }
    }
    do_then(then);
    const Mono end = now_.mono + gap;
    while (!queue_.empty() && queue_.begin()->first <= end) {
        if (queue_.begin()->first > now_.mono) pass(queue_.begin()->first - now_.mono);
        const Happening what = std::move(queue_.extract(queue_.begin()).mapped());
        if (const Input* input = std::get_if<Input>(&what))
            give(*input);
        else
            die(std::get<Death>(what).spawn, std::get<Death>(what).exit);
    }
    if (end > now_.mono) pass(end - now_.mono);
    lost_.ns += gap.ns;
    down_ = false;
}

// One that was let go runs its program first.
void Life::dies_of_itself(SpawnId spawn) {
    const FakeProcess& process = processes_.at(spawn);
    if (process.held || process.executes_at <= now_.mono) return die(spawn, code(3));
    later(process.executes_at - now_.mono, Death{spawn, code(3)});
}

void Life::do_then(Then then) {
    const auto victim = [&]() -> SpawnId {
        SpawnId helper;
        for (const auto& [spawn, process] : processes_) {
            if (process.service != name_ || !process.alive) continue;
            if (then != Then::dies && !process.has_executed(now_.mono)) continue;  // it forks nobody
            if (process.role == Role::main) return spawn;
            helper = spawn;
        }
        return helper;
    }();
    switch (then) {
        case Then::continues: return;
        case Then::is_stopped: return give(request(Verb::stop, name_));
        case Then::is_restarted: return give(request(Verb::restart, name_));
        case Then::dies:
            if (victim) dies_of_itself(victim);
            return;
        case Then::forks_once:
        case Then::forks_twice:
            if (!victim) return;
            children_.insert({{name_, processes_.at(victim).run}, {processes_.at(victim).pid, kTicks}});
            if (then == Then::forks_twice) die(victim, code(0));
            return;
    }
}

// The kernel's facts about what the journal speaks of.
in::Recovered Life::findings() const {
    in::Recovered found;
    found.signalled = found.signalled_others = signalled_;
    for (const Service* service : engine_.services()) {
        for (const Run& run : service->runs) {
            for (const Process& process : run.processes) {
                const auto it = processes_.find(process.spawn);
                const bool ran = it != processes_.end();
                const bool executed = ran && run.hold && it->second.has_executed(now_.mono);
                found.processes.push_back(
                    {process.spawn, ran && it->second.alive, !ran, ran ? it->second.pid : 0, kTicks, executed});
            }
        }
    }
    return found;
}

void Life::deliver_exits() {
    std::map<SpawnId, ExitStatus> exits;
    for (const Service* service : engine_.services()) {
        for (const Run& run : service->runs) {
            for (const Process& process : run.processes) {
                const auto it = processes_.find(process.spawn);
                if (it != processes_.end() && !it->second.alive) exits.emplace(process.spawn, it->second.exit);
            }
        }
    }
    for (const auto& [spawn, exit] : exits) step(in::Exited{spawn, exit});
    for (const Input& input : std::exchange(kept_, {})) step(input);
}

void Life::next_manager() {
    const bool older = plan_.how == How::upgrade_to_older_format;
    engine_ = core::Engine(older ? older_.begin(engine_) : written(engine_, plan_.how == How::upgrade_to_newer_format));
    if (plan_.how == How::two_crashes_in_a_row) {
        note_effects(engine_.step(findings(), now_));  // journaled, and never carried out
        engine_ = core::Engine(written(engine_, false));
    }
    step(findings());
    tell_held();
    if (older) forgotten_ = older_.problem(engine_);
    deliver_exits();
}

void Life::go_on_late() {
    for (const in::Recovered::Found& found : findings().processes) {
        if (found.never_ran || processes_.at(found.spawn).executes_at > now_.mono) continue;
        step(in::Spawned{found.spawn, found.pid, kTicks, tracking_ == Tracking::control_groups});
        if (processes_.at(found.spawn).has_executed(now_.mono)) step(in::Executed{found.spawn});
    }
    tell_held();
    deliver_exits();
    for (const Key& key : std::set<Key>(watched_)) look_whether_empty(key);
    // The kernel says it for as long as it is so.
    for (const Key& key : frozen_) later(Duration{0}, in::Frozen{key.first, key.second, true, {}});
}

// ---- what is compared ----------------------------------------------------------------------------------------------

std::string Life::story() const {
    std::string text;
    const auto exit_text = [&](const Box<ExitStatus>& exit) {
        if (!exit) return std::string("none");
        return to_text(exit->kind) + " " + std::to_string(exit->value);
    };
    for (const auto& [service, lines] : told_) {
        std::string last;
        for (const std::string& line : lines) {
            if (line != last) text += service + ": " + line + "\n";
            last = line;
        }
    }
    for (const Service* s : engine_.services()) {
        text += s->name + ": " + to_text(s->want) + " " + to_text(s->state) + ", " + std::to_string(s->restarts) +
                " restarts, backoff " + std::to_string(s->backoff_step) + " " + std::to_string(s->backoff_delay.ns) +
                "\n";
        for (const PastRun& run : s->past)
            text += s->name + " run " + std::to_string(run.number.value) + ": " + to_text(run.reason) + ", " +
                    exit_text(run.exit) + "\n";
    }
    for (const auto& [id, op] : engine_.operations()) {
        text += "operation " + std::to_string(id.value) + ": " + to_text(op.verb) + " " + to_text(op.outcome);
        for (const TargetResult& target : op.targets) text += ", " + target.name + " " + to_text(target.outcome);
        text += "\n";
    }
    return text;
}

std::string Life::problem() const {
    if (!forgotten_.empty()) return forgotten_;
    if (older_.begun()) {
        if (const std::string forgotten = older_.problem(engine_); !forgotten.empty()) return forgotten;
    }
    if (!gap_in_events_.empty()) return "numbers of events: " + gap_in_events_;
    if (!ended_) return "the instance does not end: " + name_ + " is " + situation();
    for (const auto& [id, count] : replies_) {
        if (count > 1) return "operation " + std::to_string(id.value) + " was answered twice";
    }
    for (const auto& [id, op] : engine_.operations()) {
        if (op.outcome == Outcome::pending) return "operation " + std::to_string(id.value) + " was never answered";
    }
    for (const auto& [spawn, process] : processes_) {
        if (process.alive) return process.service + ": a process lives on (" + to_text(process.role) + ")";
    }
    if (!children_.empty()) return children_.begin()->key.first + ": what it forked lives on";
    if (!frozen_.empty()) return frozen_.begin()->first + " stays frozen";
    for (const auto& [service, lines] : told_) {
        if (std::ranges::find(lines, "RELEASED WHILE SOMEBODY LIVES") != lines.end())
            return service + ": released while somebody lives";
    }
    return {};
}

}  // namespace abide::sim
