// The sample of Docker's "evented process monitor" proposal: one monitor, many processes of several kinds, a handler
// for each kind, and restarts; no thread for a process, and no exit is missed.
#include <abide/monitor.hpp>
#include <iostream>

int main() {
    auto monitor = abide::monitor::create().value();
    const auto say = [](const abide::exit_event& e) { std::cout << e.label << ": " << to_string(e.status) << '\n'; };
    monitor.route(abide::router().on("web/*", say).on("job/*", say).on("*", [](const abide::exit_event&) {}));
    const std::pair<const char*, const char*> jobs[] = {
        {"web/1", "exit 1"}, {"web/2", "kill -TERM $$"}, {"job/1", "exit 0"}};
    for (const auto& [label, script] : jobs) {
        auto p = monitor.spawn(abide::command("sh", {"-c", script}).label(label), abide::leave::kill);
        if (!p) return std::cerr << p.error().message() << '\n', 1;
        p->release();  // from now on the monitor's
    }
    const abide::restart_rules twice{.min = std::chrono::milliseconds(1), .limit_count = 2};
    auto flaky = monitor.keep(abide::command("false"), twice, abide::leave::kill, [](const auto&, const auto& next) {
        if (next.what == abide::restart_decision::action::give_up) std::cout << "flaky: gave up\n";
    });
    monitor.run();
    return flaky && flaky->restarts() == 2 ? 0 : 1;
}
