// sim/life.hpp -- one life of an instance without chance: the same script, the same answers of the kernel, every time;
// so that two lives can be compared, one of which lost its manager on the way.
//
// A value: a copy goes on by itself.  What a manager knows dies with it; what the kernel knows (processes, exit
// statuses, queued messages and requests) does not.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "older.hpp"

namespace abide::sim {

// How a manager goes, and what the next one is.
BOOST_DEFINE_ENUM_CLASS(How, upgrade_to_equal_format, upgrade_to_newer_format, upgrade_to_older_format,
                        killed_before_the_record, killed_before_the_effects, segfault_amid_the_effects,
                        hang_of_ten_seconds, out_of_memory, two_crashes_in_a_row)
// What tells who belongs to a run: a control group of its own; or, where none can be had (the instance of a plain
// user), the sessions that its processes were started in, as far as they stand in the journal.
BOOST_DEFINE_ENUM_CLASS(Tracking, control_groups, sessions)
// What happens between the death of one manager and the work of the next.
BOOST_DEFINE_ENUM_CLASS(Then, continues, is_stopped, is_restarted, dies, forks_once, forks_twice)

class Life {
  public:
    // `name` is the service that everything is about.
    Life(std::string name, Tracking tracking);

    // The next thing that happens; false when the script is over and the instance has ended (or can't).
    bool advance();
    // Where the service stands: state, stage and the helpers that run.
    std::string situation() const;
    bool ended() const { return ended_; }
    const core::Engine& engine() const { return engine_; }
    const Now& now() const { return now_; }

    void ask(model::Verb verb);
    // In the next step the manager stops to listen; `then` happens, and time passes.  With `loses` it is lost in that
    // way and another one goes on from the journal; without it is the same one that goes on, only late: its twin.
    void interrupt(How how, Then then, bool loses) { plan_ = {how, then, loses, true}; }

    // What the world saw, line by line.
    std::string story() const;
    // Out of memory takes children that share the manager's memory with it: their service starts again.
    bool took_children() const { return took_children_; }
    // What must hold in any life.  Empty: it does.
    std::string problem() const;

  private:
    static constexpr std::uint64_t kTicks = 1;  // when every process here was started

    struct FakeProcess {
        std::string service;
        RunNumber run;
        model::Role role = model::Role::main;
        std::int32_t pid = 0;
        Mono executes_at{};
        bool alive = true, held = false;  // held: before its exec, until it is let go
        bool executed = false;            // when it died
        model::ExitStatus exit;
        bool has_executed(Mono now) const { return alive ? !held && executes_at <= now : executed; }
    };
    // Forked by a process of a run, and in its session.
    struct Child {
        std::pair<std::string, RunNumber> key;
        model::Session session;
        auto operator<=>(const Child& other) const {
            return std::pair(key, session.id) <=> std::pair(other.key, other.session.id);
        }
        bool operator==(const Child&) const = default;
    };
    struct Death {
        SpawnId spawn;
        model::ExitStatus exit;
    };
    using Happening = std::variant<model::Input, Death>;
    using Key = std::pair<std::string, RunNumber>;

    void give(const model::Input& input);
    void step(const model::Input& input);
    void carry_out(const std::vector<model::Effect>& effects, std::size_t first, std::size_t last);
    void run_script();
    void interrupted(const model::Input& input);
    void stand_still(Duration gap, Then then);
    void next_manager();
    void go_on_late();
    void deliver_exits();
    model::in::Recovered findings() const;
    void later(Duration delay, Happening what) { queue_.emplace(now_.mono + delay, std::move(what)); }
    void die(SpawnId spawn, model::ExitStatus exit);
    void look_whether_empty(const Key& key);
    void note_effects(const std::vector<model::Effect>& effects);
    bool somebody_lives(const Key& key) const;
    bool has_process(const Key& key) const;
    bool is_found(const Child& child) const;
    bool is_seen_alive(const Key& key) const;
    void end_children(const Key& key);
    void tell_ready(const std::string& service, RunNumber run);
    void tell_held();
    void dies_of_itself(SpawnId spawn);
    void do_then(Then then);
    void pass(Duration d);

    void on(const model::out::Spawn& fx);
    void on(const model::out::LetGo& fx);
    void on(const model::out::Signal& fx);
    void on(const model::out::KillAll& fx);
    void on(const model::out::KillProcess& fx);
    void on(const model::out::Adopt&) {}
    void on(const model::out::Freeze& fx);
    void on(const model::out::Probe&) {}
    void on(const model::out::WatchEmpty& fx);
    void on(const model::out::Release& fx);
    void on(const model::out::Reply& fx) { replies_[fx.operation.id] += 1; }
    void on(const model::out::Publish&) {}
    void on(const model::out::EndInstance&) { ended_ = true; }
    // No life here asks for these.
    void on(const model::out::FindMain&) {}
    void on(const model::out::DropStored&) {}
    void on(const model::out::Upgrade&) {}
    void tell(const std::string& service, std::string line);

    struct Plan {
        How how{};
        Then then{};
        bool loses = false, armed = false;
    };
    std::string name_;
    Tracking tracking_ = Tracking::control_groups;
    core::Engine engine_;
    Plan plan_;
    Now now_{{seconds(1000).ns}, {seconds(1000).ns}, {seconds(1'700'000'000).ns}};
    Duration lost_{};  // time without a manager: the script stands still
    std::size_t next_line_ = 0;
    std::multimap<Mono, Happening> queue_;
    std::deque<model::Input> kept_;  // came while no manager was there
    std::map<SpawnId, FakeProcess> processes_;
    std::set<Child> children_;
    std::set<Key> watched_, frozen_;
    std::map<std::string, std::vector<std::string>> told_;
    std::map<OperationId, int> replies_;
    std::int32_t next_pid_ = 100;
    std::uint64_t events_ = 0;
    SignalId signalled_;
    OlderJournal older_;  // of a life that goes on with an older program
    std::string gap_in_events_, forgotten_;
    bool down_ = false, ended_ = false, ignores_term_ = false, took_children_ = false;
};

}  // namespace abide::sim
