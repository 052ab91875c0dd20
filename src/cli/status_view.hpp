// cli/status_view.hpp -- what `status` and the operations show to people.  Pure: values in, text out.
#pragma once

#include <string>
#include <vector>

#include "base/time.hpp"
#include "cli/text.hpp"
#include "protocol/control.hpp"

namespace abide::cli {

struct Look {
    bool coloured = false;
    std::size_t columns = 0;  // 0: never cut
};

// name, state, condition, pid, since, restarts, and what it waits for or how it ended last.
std::string status_table(const std::vector<control::ServiceStatus>& services, Wall now, const Look& look);
// The whole story of one service; `why`, `history` (its last events) and `log` are lines, the last ones raw.
std::string status_story(const control::ServiceStatus& service, const std::vector<std::string>& why,
                         const std::vector<std::string>& history, const std::vector<std::string>& log, Wall now,
                         const Look& look);
// "exit code 1", "killed by KILL (core dumped)", "unknown".
std::string exit_text(const control::LastExit& exit);
Colour colour_of_state(const control::ServiceStatus& service);

}  // namespace abide::cli
