// sim/invariants/one_main.cc -- a service never has two living main processes.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string one_main(const World& world, const Step& step) {
    (void)step;
    std::map<std::string, SpawnId> mains;
    for (const auto& [spawn, process] : world.processes()) {
        if (process.role != Role::main || !process.alive) continue;
        const auto [it, fresh] = mains.emplace(process.service, spawn);
        if (!fresh) return process.service + " has the main processes of two spawns";
    }
    return {};
}

}  // namespace abide::sim
