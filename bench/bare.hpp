// bench/bare.hpp -- what the way from an exit to a subscriber costs on this machine when nobody decides anything on it.
//
// The chain: a parent that is told by SIGCHLD and looks at the zombie, a writer on a socket with the manager's own log
// of events and nothing else, a reader that is woken by the doorbell.  The pidfd: the parent itself waits, and that is
// all; nobody can know of an exit earlier.  Times from exit_group(2) of an abide-bench-tiny, in microseconds.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "abide/events.hpp"
#include "slots.hpp"

namespace bench {

// What the measured programs write; null: it can't be read.
const Slot* map_slots(const std::string& path);

class Bare {
  public:
    // So many ends of each kind, with programs that write into the file `slots` of the folder.  0: measures nothing.
    Bare(const std::string& tiny, const std::string& folder, std::size_t count);
    ~Bare();
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    // One more of each kind, if any are left.
    void measure();
    std::vector<double> chain, pidfd;

  private:
    void end_of_chain(std::size_t index);
    void end_by_pidfd(std::size_t index);

    const Slot* slots_ = nullptr;
    std::size_t count_, next_ = 0;
    std::unique_ptr<abide::events::Reader> reader_;
    std::vector<pid_t> children_;
};

}  // namespace bench
