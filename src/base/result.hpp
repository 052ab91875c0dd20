// base/result.hpp -- the error that every fallible function returns.
//
// Three kinds of trouble are never mixed: a bug is a CHECK, an operating error is a Result, and a refusal by the world
// (a spawn that failed) is an input to the core.  A function either returns its Error or reports it, never both.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace abide {

// What a caller can do about an error.  The command line maps it to the exit statuses of docs/reference.md.
enum class ErrorKind {
    failed,         // the operation itself went wrong                   -> 1
    usage,          // the caller's words or configuration are wrong     -> 2
    not_found,      // no such service, app or event                     -> 3
    unreachable,    // no supervisor answers                             -> 4
    not_permitted,  // the caller may not do this                        -> 5
    timed_out,      // the deadline passed                               -> 6
    refused,        // refused for a stated reason                       -> 7
    rolled_back,    // undone                                            -> 8
};

struct Error {
    ErrorKind kind = ErrorKind::failed;
    std::string what;    // one line: what went wrong, and where
    int err = 0;         // errno, or 0 where no system call was involved
    std::string advice;  // one clause: what to do about it; may be empty
};

template <class T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string what, std::string advice = {}) {
    return std::unexpected(Error{kind, std::move(what), 0, std::move(advice)});
}

[[nodiscard]] inline std::unexpected<Error> fail_errno(int err, std::string what, std::string advice = {}) {
    return std::unexpected(Error{ErrorKind::failed, std::move(what), err, std::move(advice)});
}

}  // namespace abide
