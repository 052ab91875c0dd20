// bench/monitor.hpp -- what the measured process monitors have in common: start many small children, and be told of the
// end of each.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace bench {

// One way to watch processes.  Children are `abide-mortal CODE`, which end at the end of file of their standard input.
class Subject {
  public:
    virtual ~Subject() = default;
    virtual void start(const char* program, int code, int input) = 0;
    // Handles what is ready, waiting for it at most a moment.
    virtual void turn() = 0;
    int told = 0, wrong = 0;
};

Subject* make_ours();
Subject* make_libuv();
Subject* make_boost();

[[noreturn]] inline void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

inline double seconds_of(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct Pipe {
    int in = -1, out = -1;
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) die("pipe");
        in = ends[0];
        out = ends[1];
    }
    void shut() const {
        ::close(in);
        ::close(out);
    }
};

}  // namespace bench
