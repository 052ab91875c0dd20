// tests/unit/monitor/fixture.hpp -- monitors of each tier, and commands that are used again and again.  Every wait has
// a bound, so that no test hangs; every process ends by itself.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "abide/monitor.hpp"

namespace abide {

using namespace std::chrono_literals;

inline monitor_options with_tier(tier which) {
    monitor_options options;
    options.best_tier = which;
    options.look_every = 2ms;
    return options;
}

inline monitor make(const monitor_options& options = {}) {
    result<monitor> made = monitor::create(options);
    EXPECT_TRUE(made) << (made ? "" : made.error().message());
    return std::move(*made);
}

inline command shell(const std::string& script) {
    return command("/bin/sh", {"-c", script});
}
inline command sleeper() {
    return command("/bin/sleep", {"30"}).label("sleeper");
}

// Dispatches until it holds; false after the bound.
template <class Condition>
bool until(monitor& m, Condition holds, std::chrono::nanoseconds bound = 20s) {
    const deadline end = within(bound);
    while (!holds()) {
        if (deadline::clock::now() >= end) return false;
        m.run_once(std::min(end, within(50ms)));
    }
    return true;
}

// Starts a script that says a word when its traps are set, and waits for the word.
inline result<process> start_ready(monitor& m, command what, leave policy) {
    result<process> p = m.spawn(what.out(stdio::buffer()), policy);
    EXPECT_TRUE(p) << (p ? "" : p.error().message());
    EXPECT_TRUE(p && until(m, [&] { return !p->take_output(1).empty(); }));
    return p;
}

inline void nap(std::chrono::nanoseconds time) {
    std::this_thread::sleep_for(time);
}

// The state letter of /proc/PID/stat; 0: no such process.
inline char state_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t close = text.rfind(')');
    return close == std::string::npos || close + 2 >= text.size() ? '\0' : text[close + 2];
}
// 0: no such process.
inline int parent_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
    }
    return 0;
}
inline bool is_gone(int pid) {
    const char state = state_of(pid);
    return state == '\0' || state == 'Z' || state == 'X';
}

// Tests that must come out alike whatever the kernel gives.
class EachTier : public testing::TestWithParam<tier> {
  protected:
    monitor m = make(with_tier(GetParam()));
};

inline std::string tier_name(const testing::TestParamInfo<tier>& info) {
    return info.param == tier::exit_info ? "exit_info" : to_string(info.param);
}
inline const auto kTiers = testing::Values(tier::exit_info, tier::pidfd, tier::sigchld);

}  // namespace abide
