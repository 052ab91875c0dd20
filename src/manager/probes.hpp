// manager/probes.hpp -- questions to a service that are asked over a socket: does it accept, does it answer HTTP?
//
// Owns one nonblocking connection for each question under way and its deadline.  Knows no policy: how often to ask and
// what an answer means is the engine's.  Invariant: every question gets exactly one answer, at the latest at its
// deadline.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "model/input.hpp"
#include "model/spec.hpp"

namespace abide::manager {

class Probes {
  public:
    explicit Probes(kernel::Epoll& epoll) : epoll_(epoll) {}

    // tcp, unix_ and http; `target` is expanded already.
    void ask(const model::in::Probed& question, model::ProbeKind kind, const std::string& target, Mono deadline);
    // The socket of question `number` is ready.
    void on_ready(std::uint64_t number);
    void expire(Mono now);
    [[nodiscard]] Mono next_deadline() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
    // The answers since the last call.
    std::vector<model::in::Probed> take() { return std::exchange(answers_, {}); }

  private:
    enum class Phase : std::uint8_t { connecting, sending, reading };
    struct Asked {
        model::in::Probed answer;
        kernel::Fd socket;
        std::string where;  // for people
        Mono deadline;
        bool http = false;
        Phase phase = Phase::connecting;
        std::string text;  // the request, then the head of the reply
        std::size_t sent = 0;
    };
    void answer(std::uint64_t number, bool healthy, std::string detail);
    void send_request(std::uint64_t number, Asked& asked);
    void read_reply(std::uint64_t number, Asked& asked);

    kernel::Epoll& epoll_;
    std::map<std::uint64_t, Asked> asked_;
    std::set<std::pair<Mono, std::uint64_t>> deadlines_;
    std::vector<model::in::Probed> answers_;
};

}  // namespace abide::manager
