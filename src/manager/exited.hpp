// manager/exited.hpp -- from what the anchor says about an end to what the core is told of it.
#pragma once

#include "base/time.hpp"
#include "core/engine.hpp"
#include "manager/processes.hpp"
#include "manager/tracking.hpp"
#include "model/input.hpp"

namespace abide::manager {

// Call it before the run is released: the control group is asked whether memory was the cause.
model::in::Exited exited(const core::Engine& engine, Tracking& tracking, const Processes::Ended& ended, Wall seen);

}  // namespace abide::manager
