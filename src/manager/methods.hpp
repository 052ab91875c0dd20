// manager/methods.hpp -- what each method of io.abide.Control means: a call becomes an answer, an input to the engine,
// or both.
//
// Knows the engine's readable side, never a socket, and changes nothing by itself.  Invariant: the permission that the
// table of methods names is checked before any parameter is looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "core/engine.hpp"
#include "model/input.hpp"
#include "protocol/control.hpp"
#include "protocol/varlink.hpp"

namespace abide::manager {

// What Ping and Where tell.
struct Places {
    control::WhereReply where;
    std::uint64_t epoch = 0;
    control::GenerationReply generation;
};

// What is to be done about one call.
struct Answer {
    std::string message;               // the reply, when it is known at once
    std::vector<model::Input> inputs;  // for the engine; the last one makes the operation that is answered
    OperationId operation;             // an operation that exists already
    bool wait = true;                  // answer when it has ended, else as it begins
    bool progress = false;             // tell what it waits for meanwhile (`more`)
    std::optional<Mono> until;         // of the answer only: the operation goes on
    bool is_apply = false;             // answered by a ChangesReply
    std::optional<control::SubscribeRequest> subscribe;
    std::vector<control::Change> changes;
    std::optional<control::VouchRequest> vouch;  // to be passed on to whoever upgrades
};

Answer answer(const varlink::Call& call, const model::Requester& requester, const core::Engine& engine,
              const Places& places, const Now& now);

// The reply about an operation as it is; `last` when no other follows.
std::string operation_message(const core::Engine& engine, const model::Operation& operation, bool last);
std::string apply_message(const model::Operation& operation, const std::vector<control::Change>& changes);
// What the pending targets of an operation wait for, bounded.
std::vector<std::string> progress_of(const core::Engine& engine, const model::Operation& operation);

}  // namespace abide::manager
