// kernel/alarm.hpp -- a bound for ourselves: who is not done in time is ended by SIGALRM, whatever it hangs in.
//
// By the signal's default action, so nothing of ours has to run for it; children, also those that share our memory,
// have no part in it (setitimer(2)).  One at a time.
#pragma once

#include "base/time.hpp"

namespace abide::kernel {

class Alarm {
  public:
    explicit Alarm(Duration bound);
    ~Alarm();
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    // The next step has as long again, or nearly: the timer is set anew only when a part of the bound has passed, so
    // that short steps cost no call each.
    void renew();

  private:
    Duration bound_;
    Mono set_;
};

}  // namespace abide::kernel
