// sim/invariants/held.cc -- what was only created does not execute its program: a run is let go once, after it was
// held, and only when somebody wants it up.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string held(const World& world, const Step& step) {
    for (const Service* s : step.after.services()) {
        if (s->state != State::created) continue;
        const Run& run = s->runs.back();
        if (!(run.hold || run.container) || run.let_go) return s->name + " is created, and is not held";
        const bool stays = !run.restart_after;  // a restart ends this run in its turn
        if (!s->create_only && s->want == Want::up && stays) return s->name + " is held though it is wanted up";
    }
    for (const out::LetGo& fx : effects_of<out::LetGo>(step)) {
        const Service* s = step.after.find(fx.service);
        if (s == nullptr || s->runs.empty()) return fx.service + " is let go without a run";
        const Run& run = s->runs.back();
        if (!run.hold || !run.let_go) return fx.service + " is let go without a decision";
        const Service* old = step.before.find(fx.service);
        const bool again =
            old != nullptr && !old->runs.empty() && old->runs.back().number == run.number && old->runs.back().let_go;
        if (again && !std::holds_alternative<in::Recovered>(step.input)) return fx.service + " is let go twice";
    }
    for (const auto& [spawn, process] : world.processes()) {
        if (process.hold && process.executed && !process.let_go) return process.service + " executed while held";
    }
    return {};
}

}  // namespace abide::sim
