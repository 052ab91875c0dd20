// sim/invariants/invariants.hpp -- what must hold after every step, one file each.
#pragma once

#include <string>
#include <vector>

#include "world.hpp"

namespace abide::sim {

std::string one_main(const World& world, const Step& step);
std::string only_when_wanted(const World& world, const Step& step);
std::string needs_first(const World& world, const Step& step);
std::string stops_in_reverse(const World& world, const Step& step);
std::string deadlines(const World& world, const Step& step);
std::string restart_limit(const World& world, const Step& step);
std::string backoff_bounds(const World& world, const Step& step);
std::string strays_change_nothing(const World& world, const Step& step);
std::string function(const World& world, const Step& step);
std::string wall_clock(const World& world, const Step& step);
std::string one_answer(const World& world, const Step& step);
std::string parallel(const World& world, const Step& step);
std::string never_kill(const World& world, const Step& step);
std::string event_numbers(const World& world, const Step& step);
std::string term_once(const World& world, const Step& step);
std::string restored(const World& world, const Step& step);
std::string states_agree(const World& world, const Step& step);
std::string exits_told(const World& world, const Step& step);
std::string released(const World& world, const Step& step);
std::string stored(const World& world, const Step& step);
std::string held(const World& world, const Step& step);
std::string container(const World& world, const Step& step);
std::string paused(const World& world, const Step& step);

template <class T>
std::vector<T> effects_of(const Step& step) {
    std::vector<T> found;
    for (const model::Effect& effect : step.effects) {
        if (const T* fx = std::get_if<T>(&effect)) found.push_back(*fx);
    }
    return found;
}

}  // namespace abide::sim
