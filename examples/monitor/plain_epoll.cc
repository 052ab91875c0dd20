// Inside somebody else's epoll: the monitor is one descriptor among others.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <abide/monitor.hpp>

#include <cstdio>

int main() {
    const int loop = ::epoll_create1(EPOLL_CLOEXEC);
    const int ticker = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const itimerspec often{{0, 20'000'000}, {0, 20'000'000}};
    ::timerfd_settime(ticker, 0, &often, nullptr);

    auto monitor = abide::monitor::create().value();
    epoll_event event{EPOLLIN, {.fd = monitor.fd()}};
    ::epoll_ctl(loop, EPOLL_CTL_ADD, monitor.fd(), &event);
    event.data.fd = ticker;
    ::epoll_ctl(loop, EPOLL_CTL_ADD, ticker, &event);

    bool ended = false;
    auto process = monitor.spawn(abide::command("sleep", {"0.1"}), abide::leave::kill, [&](const abide::exit_event& e) {
        std::printf("sleep: %s\n", to_string(e.status).c_str());
        ended = e.status.success();
    });
    if (!process) return 1;
    int ticks = 0;
    while (!ended && ticks < 500) {
        epoll_event ready{};
        if (::epoll_wait(loop, &ready, 1, -1) < 1) continue;
        if (ready.data.fd == monitor.fd()) monitor.dispatch();
        unsigned long count = 0;
        if (ready.data.fd == ticker && ::read(ticker, &count, sizeof count) > 0) ++ticks;
    }
    std::printf("other events meanwhile: %s\n", ticks > 0 ? "yes" : "no");
    ::close(ticker);
    ::close(loop);
    return ended && ticks > 0 ? 0 : 1;
}
