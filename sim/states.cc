// sim/states.cc -- one service of each kind, beside one that it requires, taken through every state that inputs can
// bring it to; then every input given to each.
//
// Nothing is written by hand but the names of inputs and effects.  A new verb, kind or state is in the table by itself;
// a new kind of input or effect does not compile until it has its name here.
#include "states.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "core/engine.hpp"
#include "model/codec.hpp"
#include "model/signal.hpp"
#include "model/text.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr char kName[] = "s", kOther[] = "other";
constexpr std::size_t kMostWorlds = 20'000;

struct Place {
    core::Engine engine;
    Now now{{seconds(100).ns}, {seconds(100).ns}, {seconds(100).ns}};
};

struct Column {
    std::string title;
    Input input;
    bool on_time = false;  // the clock goes to the next deadline first
    bool leads_on = true;  // to further situations worth a row of their own
};

ServiceSpec subject(Kind kind) {
    ServiceSpec spec;
    spec.name = kName;
    spec.kind = kind;
    spec.command.argv = {"program"};
    spec.autostart = false;
    spec.dependencies.push_back({Relation::requires_, kOther, Await::ready, OnLoss::stop});
    if (kind == Kind::group) return spec;
    spec.hooks = Box(Hooks{});
    for (auto* list : {&spec.hooks->pre_start, &spec.hooks->post_start, &spec.hooks->pre_stop, &spec.hooks->post_stop})
        list->push_back({{"hook"}});
    spec.stop = Box(StopSpec{});
    spec.stop->command.argv = {"stop"};
    if (kind == Kind::task) return spec;
    spec.ready = Box(ReadySpec{});
    spec.ready->probe.kind = ProbeKind::notify;
    spec.reload = Box(ReloadSpec{.signal = 1, .command = {{"reload"}}, .timeout = seconds(2)});
    spec.restart_delay = Box(RestartSpec{});
    spec.restart_delay->limit_count = 3;
    return spec;
}

Place fresh(Kind kind) {
    core::Snapshot snapshot;
    ServiceSpec other;
    other.name = kOther;
    other.command.argv = {"other"};
    other.autostart = false;
    other.ready = Box(ReadySpec{});
    other.ready->probe.kind = ProbeKind::notify;
    for (ServiceSpec spec : {subject(kind), other}) {
        Service service;
        service.name = spec.name;
        service.spec = spec_hash(spec);
        service.enabled = false;
        snapshot.specs.emplace(service.spec, std::move(spec));
        snapshot.services.push_back(std::move(service));
    }
    std::ranges::sort(snapshot.services, {}, &Service::name);
    Place place;
    place.engine = core::Engine(std::move(snapshot));
    return place;
}

// ---- the columns ---------------------------------------------------------------------------------------------------

in::Requested request(Verb verb) {
    in::Requested in;
    in.verb = verb;
    in.names = {kName};
    in.requester.permission = Permission::administer;
    return in;
}

const Process* process_of(const Run& run, bool main) {
    for (const Process& process : run.processes) {
        if ((process.role == Role::main) == main) return &process;
    }
    return nullptr;
}

// What each kind of input says of this place: overloads, so that a new kind does not compile until it has one.
class Columns {
  public:
    explicit Columns(const core::Engine& engine) : engine_(engine) {
        const Service* service = engine.find(kName);
        if (service != nullptr && !service->runs.empty()) run_ = &service->runs.back();
        const std::vector<Input> kinds = each_kind(std::make_index_sequence<std::variant_size_v<Input>>{});
        for (const Input& kind : kinds) {
            leads_on_ = true;
            std::visit([this](const auto& in) { add(in); }, kind);
        }
    }
    std::vector<Column> take() { return std::move(columns_); }

  private:
    template <std::size_t... I>
    static std::vector<Input> each_kind(std::index_sequence<I...>) {
        return {Input(std::in_place_index<I>)...};
    }
    void put(std::string title, Input input, bool on_time = false) {
        columns_.push_back({std::move(title), std::move(input), on_time, leads_on_});
    }
    template <class Make>
    void for_processes(const char* title, Make make) {
        if (run_ == nullptr) return;
        for (const bool main : {true, false}) {
            if (const Process* process = process_of(*run_, main))
                put(std::string(main ? "main " : "helper ") + title, make(process->spawn));
        }
    }

    void add(const in::Requested&) {
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<Verb>>([&](auto verb) {
            if (verb.value == Verb::apply || verb.value == Verb::cancel) return;  // they speak of other things
            // The end of all, and what only marks: the rows would be the same ones again.
            if (verb.value == Verb::upgrade || verb.value == Verb::upgrade_anchor)
                return;  // of the instance, not of it
            leads_on_ = verb.value != Verb::shutdown && verb.value != Verb::remove && verb.value != Verb::enable &&
                        verb.value != Verb::disable && verb.value != Verb::kill;
            put("`" + to_text(verb.value) + "`", request(verb.value));
        });
        leads_on_ = false;
        in::Requested cancel = request(Verb::cancel);
        cancel.operation = engine_.instance().last_operation;
        put("`cancel` of the last request", cancel);
    }
    void add(const in::Configured&) {
        leads_on_ = false;
        in::Configured edited;
        edited.requester.permission = Permission::administer;
        edited.configuration.instance = engine_.instance().spec;
        for (const Service* service : engine_.services()) {
            ServiceSpec spec = engine_.spec_of(*service);
            if (spec.name == kOther) edited.configuration.services.push_back(spec);
            if (spec.name != kName) continue;
            spec.command.argv = {"program", "edited"};
            edited.configuration.services.push_back(std::move(spec));
        }
        put("its command edited", edited);
        std::erase_if(edited.configuration.services, [](const ServiceSpec& spec) { return spec.name == kName; });
        put("taken out of the configuration", edited);
    }
    void add(const in::Spawned&) {
        for_processes("spawned", [](SpawnId spawn) { return in::Spawned{spawn, 100, 1}; });
    }
    void add(const in::Executed&) {
        for_processes("executed", [](SpawnId spawn) { return in::Executed{spawn}; });
    }
    void add(const in::SpawnFailed&) {
        for_processes("can't be started", [](SpawnId spawn) { return in::SpawnFailed{spawn, "exec", 2}; });
    }
    void add(const in::Exited&) {
        for (const int code : {0, 1}) {
            for_processes(code == 0 ? "exits with 0" : "exits with 1",
                          [&](SpawnId spawn) { return in::Exited{spawn, {ExitKind::code, code, false, {}, {}}}; });
        }
    }
    void add(const in::Emptied&) {
        if (run_ != nullptr) put("nobody is left", in::Emptied{kName, run_->number});
    }
    void add(const in::Notified&) {
        if (run_ == nullptr) return;
        in::Notified notified;
        notified.service = kName;
        notified.run = run_->number;
        in::Notified ready = notified, reloading = notified, trigger = notified, other_main = notified;
        ready.ready = true;
        put("READY=1", ready);
        reloading.reloading = true;
        put("RELOADING=1", reloading);
        leads_on_ = false;
        trigger.watchdog_trigger = true;
        put("WATCHDOG=trigger", trigger);
        other_main.main_pid = 4711;
        put("MAINPID=", other_main);
    }
    void add(const in::Probed&) {
        if (run_ != nullptr) put("a probe answers that nobody asked", in::Probed{kName, run_->number, 77, true, ""});
    }
    void add(const in::BecameReady&) {
        if (run_ != nullptr) put("ready by descriptor, line or pid file", in::BecameReady{kName, run_->number, 0, 0});
    }
    void add(const in::Held&) {
        for_processes("is held before its exec", [](SpawnId spawn) { return in::Held{spawn}; });
    }
    void add(const in::FoundMain&) {
        if (run_ == nullptr) return;
        put("the first process of its container is found", in::FoundMain{kName, run_->number, 100, 1, {}});
        put("no first process of its container is found", in::FoundMain{kName, run_->number, 0, 0, "not there"});
    }
    void add(const in::StoredLost&) { put("a stored descriptor hangs up", in::StoredLost{kName, {FdKey{1}}}); }
    void add(const in::Emitted&) {
        put("something is emitted", in::Emitted{"deployed", {}, {.permission = Permission::administer}, {}});
    }
    void add(const in::Frozen&) {
        if (run_ == nullptr) return;
        put("frozen", in::Frozen{kName, run_->number, true, {}});
        put("can't be frozen", in::Frozen{kName, run_->number, true, "too late"});
    }
    void add(const in::UpgradeEnded&) {
        put("an upgrade ends", in::UpgradeEnded{engine_.instance().last_operation, Outcome::done, ""});
    }
    void add(const in::Ticked&) { put("the next deadline passes", in::Ticked{}, true); }
    void add(const in::Signalled&) {
        leads_on_ = false;
        put("the instance is told to end (TERM)", in::Signalled{15});
    }
    void add(const in::Recovered&) {
        leads_on_ = false;
        for (const bool alive : {true, false}) {
            in::Recovered back;
            for (const Service* service : engine_.services()) {
                for (const Run& run : service->runs) {
                    for (const Process& process : run.processes) {
                        const bool asked = process.state == ProcessState::asked;
                        back.processes.push_back({process.spawn, alive || !asked, !alive && asked, 100, 1});
                    }
                }
            }
            put(alive ? "the manager comes back" : "the manager comes back, and what it asked for never ran", back);
        }
    }

    const core::Engine& engine_;
    const Run* run_ = nullptr;
    bool leads_on_ = true;
    std::vector<Column> columns_;
};

// ---- the cells -----------------------------------------------------------------------------------------------------

struct EffectText {
    bool mine(const std::string& service) const { return service == kName; }
    std::string operator()(const out::Spawn& fx) const { return mine(fx.service) ? "spawn " + to_text(fx.role) : ""; }
    std::string operator()(const out::Signal& fx) const {
        if (!mine(fx.service) || fx.signal == 18) return {};
        return signal_name(fx.signal) + (fx.scope == StopScope::all ? " to all" : " to main");
    }
    std::string operator()(const out::KillAll& fx) const { return mine(fx.service) ? "KILL to all" : ""; }
    std::string operator()(const out::KillProcess&) const { return "KILL to a helper"; }
    std::string operator()(const out::Adopt&) const { return "adopt"; }
    std::string operator()(const out::Freeze& fx) const { return fx.frozen ? "freeze" : "thaw"; }
    std::string operator()(const out::Probe&) const { return "probe"; }
    std::string operator()(const out::WatchEmpty&) const { return {}; }
    std::string operator()(const out::Release& fx) const { return mine(fx.service) ? "release" : ""; }
    std::string operator()(const out::Reply&) const { return {}; }  // whoever waits is told: in no table
    std::string operator()(const out::Publish&) const { return {}; }
    std::string operator()(const out::EndInstance&) const { return "end the instance"; }
    std::string operator()(const out::Upgrade&) const { return "upgrade"; }
    std::string operator()(const out::LetGo& fx) const { return mine(fx.service) ? "let go" : ""; }
    std::string operator()(const out::FindMain& fx) const { return mine(fx.service) ? "find its first process" : ""; }
    std::string operator()(const out::DropStored& fx) const { return mine(fx.service) ? "drop a descriptor" : ""; }
};

std::string row_of(const core::Engine& engine) {
    const Service* service = engine.find(kName);
    if (service == nullptr) return "forgotten";
    std::string text = to_text(service->want) + " · " + to_text(service->state);
    if (!service->runs.empty() && service->runs.back().stage != Stage::none)
        text += " · " + to_text(service->runs.back().stage);
    return text;
}

std::string cell_of(const Place& before, const Place& after, const std::vector<Effect>& effects) {
    std::vector<std::string> does;
    for (const Effect& effect : effects) {
        const std::string text = std::visit(EffectText{}, effect);
        if (!text.empty() && std::ranges::find(does, text) == does.end()) does.push_back(text);
    }
    const std::string row = row_of(after.engine);
    const Service *was = before.engine.find(kName), *is = after.engine.find(kName);
    std::string text = row == row_of(before.engine) ? "" : "**" + row + "**";
    if (was != nullptr && is != nullptr && text.empty() && was->last_run != is->last_run) text = "a new run";
    if (is != nullptr && !is->runs.empty() && is->runs.back().restart_after &&
        (was == nullptr || was->runs.empty() || !was->runs.back().restart_after))
        text += text.empty() ? "to be restarted" : ", to be restarted";
    for (std::size_t i = 0; i < does.size(); ++i) text += (i > 0 ? ", " : text.empty() ? "" : ": ") + does[i];
    if (text.empty() && before.engine.instance().strays != after.engine.instance().strays) return "stray";
    return text;
}

// What tells two places apart for the policy, without counters and times.
std::string essence(const core::Engine& engine) {
    std::string text;
    for (const Service* s : engine.services()) {
        text += s->name + row_of(engine) + std::to_string(s->backoff_step > 0) + to_text(s->state) + to_text(s->want);
        for (const Run& run : s->runs) {
            if (s->name == kOther) {
                text += run.ready ? "ready" : "";
                continue;
            }
            for (const bool flag :
                 {run.populated, run.ready, run.failed, run.killed, run.term_sent, run.restart_after, run.paused})
                text += flag ? '1' : '0';
            std::set<std::string> roles;
            for (const Process& p : run.processes) roles.insert(to_text(p.role) + to_text(p.state));
            for (const std::string& role : roles) text += role;
        }
    }
    return text + (engine.instance().shutting_down ? "end" : "");
}

std::pair<Place, std::vector<Effect>> take(const Place& place, const Column& column) {
    Place next = place;
    if (column.on_time) next.now.mono = std::max(next.now.mono, next.engine.next_deadline());
    std::vector<Effect> effects = next.engine.step(column.input, next.now);
    (void)next.engine.take_changes();
    return {std::move(next), std::move(effects)};
}

// What the other one may do meanwhile.
std::vector<Column> surroundings(const core::Engine& engine) {
    std::vector<Column> moves;
    const Service* other = engine.find(kOther);
    if (other == nullptr || other->runs.empty()) return moves;
    const Run& run = other->runs.back();
    in::Notified ready;
    ready.service = kOther;
    ready.run = run.number;
    ready.ready = true;
    moves.push_back({"", ready});
    for (const Process& process : run.processes) {
        moves.push_back({"", in::Executed{process.spawn}});
        moves.push_back({"", in::Exited{process.spawn, {ExitKind::code, 1, false, {}, {}}}});
    }
    moves.push_back({"", in::Emptied{kOther, run.number}});
    return moves;
}

// More helpers than ever live at once: those that were killed and, here, never end.
bool crowded(const core::Engine& engine) {
    const Service* s = engine.find(kName);
    return s != nullptr && !s->runs.empty() && s->runs.back().processes.size() > 2;
}

using Cells = std::map<std::string, std::map<std::string, std::set<std::string>>>;  // row, column, outcomes

std::string table_of(Kind kind) {
    Cells cells;
    std::vector<std::string> titles;
    std::set<std::string> seen;
    std::deque<Place> todo{fresh(kind)};
    seen.insert(essence(todo.front().engine));
    std::size_t worlds = 0;
    while (!todo.empty() && worlds < kMostWorlds) {
        const Place place = std::move(todo.front());
        todo.pop_front();
        worlds += 1;
        std::vector<Column> moves = surroundings(place.engine);
        if (place.engine.find(kName) != nullptr && !place.engine.instance().ended) {
            for (Column& column : Columns(place.engine).take()) {
                if (column.on_time && place.engine.next_deadline() == kNever) continue;
                const auto [next, effects] = take(place, column);
                if (std::ranges::find(titles, column.title) == titles.end()) titles.push_back(column.title);
                cells[row_of(place.engine)][column.title].insert(cell_of(place, next, effects));
                if (column.leads_on) moves.push_back(std::move(column));
            }
        }
        for (const Column& move : moves) {
            Place next = take(place, move).first;
            if (crowded(next.engine)) continue;
            if (seen.insert(essence(next.engine)).second) todo.push_back(std::move(next));
        }
    }
    std::string text = "\n## " + to_text(kind) + "\n\n" + std::to_string(worlds) + " situations";
    if (worlds == kMostWorlds) text += " and more, not all of which were looked at";
    text += " in " + std::to_string(cells.size()) + " states.\n";
    for (const auto& [row, columns] : cells) {
        text += "\n### " + row + "\n\n| input | what follows |\n|---|---|\n";
        // Inputs with the same outcomes share a line.
        std::vector<std::pair<std::string, std::string>> lines;
        for (const std::string& title : titles) {
            const auto at = columns.find(title);
            if (at == columns.end()) continue;
            std::string outcome;
            for (const std::string& one : at->second)
                outcome += (outcome.empty() ? "" : "<br>or ") + (one.empty() ? "–" : one);
            const auto same = std::ranges::find(lines, outcome, &std::pair<std::string, std::string>::second);
            if (same != lines.end())
                same->first += ", " + title;
            else
                lines.emplace_back(title, outcome);
        }
        for (const auto& [inputs, outcome] : lines) text += "| " + inputs + " | " + outcome + " |\n";
    }
    return text;
}

}  // namespace

std::string state_table() {
    std::string text =
        "# Every state and every input\n\n"
        "Made by `abide-sim --states` from the real core; the tests compare it, `ABIDE_WRITE=1` writes "
        "it anew.\n"
        "One service of each kind requires another (`on-loss = \"stop\"`), has one hook in each list, a stop command "
        "and a\n"
        "reload command, is ready by notification, and may restart three times. Each state that inputs can bring it to "
        "is\n"
        "listed as want · state · stage, with what every input does then: the **new state**, and the effects. \"–\": "
        "nothing\n"
        "changes but conditions and deadlines; \"stray\": counted and dropped; \"or\": it depends on what else is "
        "true\n"
        "(processes that still live, a restart that was asked for, the other's state). Inputs that can't come are "
        "absent;\n"
        "those about a past run are always strays.\n";
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<Kind>>([&](auto kind) {
        if (kind.value != Kind::timer) text += table_of(kind.value);  // a timer has no life of its own yet
    });
    return text;
}

}  // namespace abide::sim
