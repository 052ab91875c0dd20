// kernel/check.cc -- how a broken assertion ends the program: one line on descriptor 2, then abort.
#include "base/check.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace abide {

void check_failed(const char* file, int line, const char* why) {
    std::array<char, 12> number{};
    const auto end = std::to_chars(number.data(), number.data() + number.size(), line).ptr;
    const auto piece = [](const char* text, std::size_t size) { return iovec{const_cast<char*>(text), size}; };
    const std::array<iovec, 6> line_pieces{piece(file, std::strlen(file)),
                                           piece(":", 1),
                                           piece(number.data(), static_cast<std::size_t>(end - number.data())),
                                           piece(": ", 2),
                                           piece(why, std::strlen(why)),
                                           piece("\n", 1)};
    static_cast<void>(!::writev(2, line_pieces.data(), static_cast<int>(line_pieces.size())));
    std::abort();
}

}  // namespace abide
