// kernel/cannot.hpp -- the error of a call about a path, from errno.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace abide::kernel {

inline std::unexpected<Error> cannot(const char* verb, std::string_view path) {
    const int err = errno;
    const ErrorKind kind = err == ENOENT   ? ErrorKind::not_found
                           : err == EACCES ? ErrorKind::not_permitted
                                           : ErrorKind::failed;
    return std::unexpected(Error{kind, std::string("can't ") + verb + " " + std::string(path), err, {}});
}

}  // namespace abide::kernel
