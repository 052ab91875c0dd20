// manager/sessions.hpp -- which processes are a run's where there are no control groups.
//
// Theory.  Each process that we start leads a session of its own; whoever is in one of these is the run's.  Who leaves
// it is found by his parents as long as they live, and his session counts as the run's from then on.  A daemon, who
// left and was orphaned before anybody looked, can't be told from anybody else's orphan; it is the run's when the run
// says so (a pid file, MAINPID=) and it is an orphan of our anchor, of the run's user, and in no other run's session.
//
// Owns what was found; the sessions of what was started are in the journal.  Every look reads /proc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/state.hpp"

namespace abide::manager {

class Sessions {
  public:
    // Who adopts orphans (PR_SET_CHILD_SUBREAPER, prctl(2)).
    void set_reaper(std::int32_t anchor) { reaper_ = anchor; }
    void add(std::uint64_t run, const model::Session& session);
    // What the engine says of a run takes the place of what was added.
    void follow(std::uint64_t key, const model::Run& run);
    void release(std::uint64_t run);

    struct Member {
        std::int32_t pid = 0;
        std::uint64_t start_ticks = 0;
    };
    // Those that live.
    std::vector<Member> members(std::uint64_t run);
    [[nodiscard]] bool contains(std::uint64_t run, std::int32_t pid) const;
    // The run says that it is its own.
    bool adopt(std::uint64_t run, std::int32_t pid, std::uint32_t user);

  private:
    using List = std::vector<model::Session>;
    static bool has(const std::map<std::uint64_t, List>& lists, std::uint64_t run, std::int32_t session);
    [[nodiscard]] bool is_of(std::uint64_t run, std::int32_t session) const {
        return has(started_, run, session) || has(found_, run, session);
    }
    [[nodiscard]] bool is_anybodys(std::int32_t session) const;

    std::map<std::uint64_t, List> started_, found_;  // by run key
    std::int32_t reaper_ = 0;
};

}  // namespace abide::manager
