// sim/invariants/exits_told.cc -- the status of a main process is the one that it ended with.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string exits_told(const World& world, const Step& step) {
    const auto* exited = std::get_if<in::Exited>(&step.input);
    if (exited == nullptr) return {};
    const auto it = world.processes().find(exited->spawn);
    if (it == world.processes().end() || it->second.role != Role::main) return {};
    const Service* s = step.after.find(it->second.service);
    const core::Engine::Owner owner = step.before.owner_of(exited->spawn);
    if (s == nullptr || owner.run == nullptr) return {};
    if (!s->last_exit || !(*s->last_exit == exited->status)) return s->name + " tells another exit status";
    return {};
}

}  // namespace abide::sim
