// cli/start_report.hpp -- how an instance came up, from its events: who took how long, and what waited for what.  Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "abide/events.hpp"

namespace abide::cli {

// The first run of a service since the instance began.
struct StartOf {
    std::string service;
    std::int64_t starting_ns = 0, started_ns = 0, ready_ns = 0;  // wall; 0: did not happen
    std::int64_t ended_ns = 0;
    bool failed = false;
    std::uint64_t last_event = 0;  // the one by which it was up, or at its end

    // From the decision to start until it was ready, or had ended.
    [[nodiscard]] std::int64_t done_ns() const { return ready_ns != 0 ? ready_ns : ended_ns; }
    [[nodiscard]] std::int64_t took_ns() const { return done_ns() == 0 ? 0 : done_ns() - starting_ns; }
};

class StartReport {
  public:
    // In the order of the log.  A start of the supervisor forgets what was before it.
    void see(events::Event event);

    // "1.203s  db", the longest first.
    [[nodiscard]] std::string blame() const;
    // From the service that was up last back to the start of the instance: "@2.310s +0.100s  service.ready api".
    [[nodiscard]] std::string critical_chain() const;
    // The same for programs: arrays of {service, began, took_ns, failed}, and of {type, service, at_ns, took_ns}.
    [[nodiscard]] std::string blame_json() const;
    [[nodiscard]] std::string critical_chain_json() const;
    // A picture of bars, one a service.
    [[nodiscard]] std::string plot() const;
    [[nodiscard]] bool empty() const { return starts_.empty(); }

  private:
    // An event of the chain: since the instance began, and since what caused it.
    struct Link {
        const events::Event* event = nullptr;
        std::int64_t at_ns = 0, took_ns = 0;
    };
    [[nodiscard]] std::vector<Link> chain() const;
    [[nodiscard]] std::vector<StartOf> sorted() const;
    [[nodiscard]] std::vector<StartOf> longest_first() const;

    std::int64_t begun_ns_ = 0;
    std::map<std::string, StartOf> starts_;
    std::map<std::string, std::uint64_t> runs_;      // the run that counts
    std::map<std::uint64_t, events::Event> events_;  // for the chain of causes
};

}  // namespace abide::cli
