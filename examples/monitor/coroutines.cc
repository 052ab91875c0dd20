// A pipeline of steps as one coroutine: each step is a process, and a step that takes too long is stopped.
#include <abide/monitor.hpp>

#include <cstdio>

using namespace std::chrono_literals;

namespace {

abide::fire_and_forget build(abide::monitor& monitor, bool& done) {
    for (const char* step : {"echo configure", "echo compile", "exec sleep 30"}) {
        auto process = monitor.spawn(abide::command("sh", {"-c", step}), abide::leave::kill);
        if (!process) co_return;
        const auto guard =
            monitor.after(200ms, [&] { static_cast<void>(process->stop({{SIGTERM, 1s}, {SIGKILL, 0s}})); });
        const abide::exit_event end = co_await process->exited();
        monitor.cancel(guard);
        std::printf("%s: %s\n", step, to_string(end.status).c_str());
        std::fflush(stdout);
        if (!end.status.success()) done = end.cause == abide::exit_cause::asked;
    }
}

}  // namespace

int main() {
    auto monitor = abide::monitor::create().value();
    bool done = false;
    build(monitor, done);
    monitor.run();
    return done ? 0 : 1;
}
