// sim/invariants/list.cc -- all of them.
#include "invariants/invariants.hpp"

namespace abide::sim {

const std::vector<Invariant>& invariants() {
    static const std::vector<Invariant> kAll = {
        {"one_main", one_main},
        {"only_when_wanted", only_when_wanted},
        {"needs_first", needs_first},
        {"stops_in_reverse", stops_in_reverse},
        {"deadlines", deadlines},
        {"restart_limit", restart_limit},
        {"backoff_bounds", backoff_bounds},
        {"strays_change_nothing", strays_change_nothing},
        {"function", function},
        {"wall_clock", wall_clock},
        {"one_answer", one_answer},
        {"parallel", parallel},
        {"never_kill", never_kill},
        {"event_numbers", event_numbers},
        {"term_once", term_once},
        {"restored", restored},
        {"states_agree", states_agree},
        {"exits_told", exits_told},
        {"released", released},
        {"stored", stored},
        {"held", held},
        {"container", container},
        {"paused", paused},
    };
    return kAll;
}

}  // namespace abide::sim
