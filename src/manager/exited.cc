// manager/exited.cc -- see the header.
#include "manager/exited.hpp"
#include "model/signal.hpp"

namespace abide::manager {

model::in::Exited exited(const core::Engine& engine, Tracking& tracking, const Processes::Ended& ended, Wall seen) {
    model::in::Exited told{ended.spawn, exit_status_of(ended.exit, seen), ended.exit.pid};
    if (told.status.kind != model::ExitKind::signal || told.status.value != model::kKill) return told;
    const core::Engine::Owner owner = engine.owner_of(ended.spawn);
    if (owner.run != nullptr) told.status.oom = tracking.had_oom(owner.service->name, owner.run->number);
    return told;
}

}  // namespace abide::manager
