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
#include <variant>
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
struct Say {  // the reply is known at once
    std::string message;
};
// How whoever waits for an operation is told of it.
struct Manner {
    bool wait = true;                                     // when it has ended, else as it begins
    bool progress = false;                                // and what it waits for meanwhile (`more`)
    std::optional<Mono> until;                            // of the answer only: the operation goes on
    std::optional<std::vector<control::Change>> changes;  // an apply: told by a ChangesReply
};
struct Ask {
    std::vector<model::Input> inputs;  // for the engine; the last one makes the operation
    Manner manner;
};
struct Join {
    OperationId operation;  // exists already
    Manner manner;
};
struct Follow {
    control::SubscribeRequest events;
};
struct Vouch {
    control::VouchRequest word;  // to be passed on to whoever upgrades
    std::string message;
};
using Answer = std::variant<Say, Ask, Join, Follow, Vouch>;

Answer answer(const varlink::Call& call, const model::Requester& requester, const core::Engine& engine,
              const Places& places, const Now& now);

// The reply about an operation as it is; `last` when no other follows.
std::string operation_message(const core::Engine& engine, const model::Operation& operation, bool last);
std::string apply_message(const model::Operation& operation, const std::vector<control::Change>& changes);
// What the pending targets of an operation wait for, bounded.
std::vector<std::string> progress_of(const core::Engine& engine, const model::Operation& operation);

}  // namespace abide::manager
