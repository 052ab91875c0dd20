// abide/monitor/result.hpp -- what can go wrong, and how a function says so.
//
// Nothing in this library throws of its own accord; it can be used with -fno-exceptions.  A function that can fail
// returns a result<T>: a T, or an error.  Bad memory and broken invariants of the library itself end the program.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <abide/api.hpp>

namespace abide {

/// How far the start of a process came before it failed.  `none`: the error is not about a start.
enum class start_stage : std::uint8_t {
    none,
    clone,         ///< no child came to be (EAGAIN: a limit of processes)
    unshare,       ///< a descriptor table of its own
    cgroup,        ///< joining its control group
    record,        ///< reserved for the supervisor
    session,       ///< setsid(2)
    descriptors,   ///< placing its descriptors
    terminal,      ///< taking its controlling terminal
    limits,        ///< resource limits
    nice,          ///< priority
    groups,        ///< supplementary groups and group
    capabilities,  ///< capability sets
    user,          ///< user
    privileges,    ///< no_new_privs
    directory,     ///< chdir(2)
    signals,       ///< signal mask and dispositions
    exec,          ///< execve(2) itself
    killed,        ///< it was killed before its exec
    hold,          ///< the set-up program abide-hold is missing or could not be executed
    oom_score,     ///< its OOM score
    mounts,        ///< its mount namespace
    released,      ///< reserved for the supervisor
};

/// The word for a stage ("exec", "directory", ...); static.
ABIDE_API const char* to_string(start_stage stage) noexcept;

/// Why something could not be done.  A value; copies freely.
struct error {
    start_stage stage = start_stage::none;  ///< for a process that could not be started: how far it came
    int number = 0;                         ///< errno, or 0 where no system call was involved
    std::string what;                       ///< one line, without the text of errno

    /// The errno as a std::error_code of the generic category.
    [[nodiscard]] std::error_code code() const { return {number, std::generic_category()}; }
    /// One line for people: what, the stage and the text of errno.
    [[nodiscard]] ABIDE_API std::string message() const;
};

namespace detail {
[[noreturn]] ABIDE_API void no_value(const error& why) noexcept;
}  // namespace detail

/// A T, or the error that stands in its place.  Asking for the one that is not there prints the error to standard error
/// and aborts.
template <class T>
class [[nodiscard]] result {
  public:
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(abide::error why) : state_(std::in_place_index<1>, std::move(why)) {}

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    [[nodiscard]] T& value() & { return checked(); }
    [[nodiscard]] const T& value() const& { return const_cast<result*>(this)->checked(); }
    [[nodiscard]] T&& value() && { return std::move(checked()); }
    T& operator*() & { return checked(); }
    const T& operator*() const& { return const_cast<result*>(this)->checked(); }
    T&& operator*() && { return std::move(checked()); }
    T* operator->() { return &checked(); }
    const T* operator->() const { return &const_cast<result*>(this)->checked(); }

    /// Only when !has_value().
    [[nodiscard]] const abide::error& error() const {
        const auto* why = std::get_if<1>(&state_);
        if (why == nullptr) std::abort();
        return *why;
    }

  private:
    T& checked() {
        if (auto* value = std::get_if<0>(&state_)) return *value;
        detail::no_value(*std::get_if<1>(&state_));
    }
    std::variant<T, abide::error> state_;
};

/// Success, or an error.
template <>
class [[nodiscard]] result<void> {
  public:
    result() = default;
    result(abide::error why) : failed_(true), error_(std::move(why)) {}
    [[nodiscard]] bool has_value() const noexcept { return !failed_; }
    explicit operator bool() const noexcept { return !failed_; }
    [[nodiscard]] const abide::error& error() const { return error_; }

  private:
    bool failed_ = false;
    abide::error error_;
};

}  // namespace abide
