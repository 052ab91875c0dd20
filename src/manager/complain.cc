// manager/complain.cc -- see the header.
#include "manager/complain.hpp"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/text.hpp"
#include "kernel/fd.hpp"

namespace abide::manager {

namespace {

constexpr int kStandardError = 2;
constexpr std::size_t kLineBytes = 1000;
constexpr int kExitGaveUp = 70;

std::size_t complained = 0;

}  // namespace

void complain(std::string_view text) {
    const std::string line = "abide: " + printable(text, kLineBytes) + "\n";
    // Nobody is left to tell when this fails.
    static_cast<void>(kernel::write_some(kStandardError, line.data(), line.size()));
    complained += line.size();
}

std::size_t take_complained() {
    return std::exchange(complained, 0);
}

void give_up(std::string_view why) {
    complain(std::string(why) + "; the manager ends, its successor goes on from what is written");
    std::_Exit(kExitGaveUp);
}

void must(const Status& done, std::string_view what) {
    if (!done) give_up(std::string(what) + ": " + describe(done.error()));
}

std::string describe(const Error& error) {
    std::string text = error.what;
    if (error.err != 0) text += std::string(": ") + std::strerror(error.err);
    if (!error.advice.empty()) text += "; " + error.advice;
    return text;
}

}  // namespace abide::manager
