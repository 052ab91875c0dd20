// manager/lent_doorbell.hpp -- the doorbell of the event log, lent to the logger, which rings it for us.
//
// Owns the bell by which the logger is asked.  Invariant: every ring that ring() said yes to is made by a logger that
// lives on; for one that dies EventLog::ring_again() makes it.  The bell is used only when the logger has said that it
// listens, and after the packet with this bell and this doorbell was sent: until it has read that packet it makes up
// for every ring before with the packet's own.
#pragma once

#include <optional>

#include "kernel/wake.hpp"

namespace abide::manager {

class LentDoorbell {
  public:
    // Another logger, or none.
    void take_back() { listens_ = lent_ = false; }
    // It has said so.
    void listens() { listens_ = true; }
    // By the logger at the other end of the socket.  another: this doorbell is not that of the last time.  False: it
    // has no room for a packet.
    bool ring(int logger, int doorbell, bool another);

  private:
    std::optional<kernel::Bell> bell_;
    bool listens_ = false;  // the logger knows what a bell is
    bool lent_ = false;     // it was sent both
};

}  // namespace abide::manager
