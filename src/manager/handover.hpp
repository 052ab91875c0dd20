// manager/handover.hpp -- a manager gives its place to another program: the talk with the witness (witness.hpp), and
// the word to the anchor.
//
// Decides nothing about a program: the witness judges, the anchor swaps and takes back.  Knows no engine, so that a
// rescue hands over by it, too.  Invariant: before the witness has said `pass` nothing is changed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"

namespace abide::manager {

// The Spawner's token of the witness; no SpawnId has it.
inline constexpr std::uint64_t kWitnessToken = ~std::uint64_t{1};

class Handover {
  public:
    struct Uses {
        kernel::Epoll& epoll;
        kernel::Spawner& spawner;
        AnchorLink& anchor;
    };
    struct Request {
        OperationId operation;
        std::string program;
        Duration probation{};
        std::string control;      // the path of the socket at which the next manager is asked
        std::uint64_t epoch = 0;  // of this manager
        bool rescue = false;      // our own program can't say what is right
    };
    using Refused = std::function<void(OperationId, std::string why)>;

    Handover(Uses uses, Refused refused) : uses_(uses), refused_(std::move(refused)) {}

    // `journal`: a copy.  What fails here is for the caller to tell.
    Status begin(Request request, kernel::Fd journal, Mono now);
    void on_spawn(kernel::SpawnEvent event);
    void on_link();
    void expire(Mono now);
    void refuse(std::string why);

    [[nodiscard]] bool under_way() const { return request_.has_value(); }
    // The place is given: this manager ends at once.
    [[nodiscard]] bool given() const { return given_; }
    [[nodiscard]] Mono next_deadline() const { return deadline_; }

  private:
    Status start_witness(kernel::Fd journal);
    void passed(kernel::Fd copy);
    void close_link();

    Uses uses_;
    Refused refused_;
    std::optional<Request> request_;
    kernel::Fd program_, link_, witness_;
    Mono deadline_ = kNever;
    bool given_ = false;
};

// A handover is over, or came to nothing with the manager that began it: nobody needs its programs any more.
void drop_programs(AnchorLink& anchor);
// Why the anchor did not do what it was asked for.
std::string refusal_of(std::uint32_t error);

}  // namespace abide::manager
