// base/time.hpp -- instants of the three clocks, which can't be mixed, and durations.  No clock is read here.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace abide {

struct Duration {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Duration&) const = default;
};

constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000}; }
inline constexpr Duration kForever{std::numeric_limits<std::int64_t>::max()};

// CLOCK_MONOTONIC: stands still while the machine sleeps, so a suspend kills nobody.  Judges processes.
struct Mono {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Mono&) const = default;
};
// CLOCK_BOOTTIME: goes on while the machine sleeps.  Timers and windows.
struct Boot {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Boot&) const = default;
};
// CLOCK_REALTIME, since 1970.  Only shown to people, and for calendar timers.
struct Wall {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Wall&) const = default;
};

struct Now {
    Mono mono;
    Boot boot;
    Wall wall;
};

// Saturating: a deadline that can't be reached is kNever, not a wrapped one.
constexpr std::int64_t add_saturating(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}
inline constexpr Mono kNever{std::numeric_limits<std::int64_t>::max()};
constexpr Mono operator+(Mono t, Duration d) { return {add_saturating(t.ns, d.ns)}; }
constexpr Boot operator+(Boot t, Duration d) { return {add_saturating(t.ns, d.ns)}; }
constexpr Duration operator-(Mono a, Mono b) { return {a.ns - b.ns}; }
constexpr Duration operator-(Boot a, Boot b) { return {a.ns - b.ns}; }

}  // namespace abide
