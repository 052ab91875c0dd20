// anchor/text.hpp -- words without a C library: comparing, reading numbers, and printing one bounded line.
//
// Owns no state.  Invariant: nothing writes past its buffer; a line that is too long is cut.
#pragma once

#include <cstddef>
#include <cstdint>

#include "anchor/sys.hpp"

extern "C" {
void* memcpy(void* to, const void* from, std::size_t bytes);
void* memmove(void* to, const void* from, std::size_t bytes);
void* memset(void* to, int byte, std::size_t bytes);
int memcmp(const void* a, const void* b, std::size_t bytes);
std::size_t strlen(const char* text);
}

namespace abide::text {

bool equal(const char* a, const char* b);
bool ends_with(const char* text, const char* tail);

// What follows `head` in `text`, or null where text does not begin with it.
const char* after(const char* text, const char* head);

// The last component of a path, as a pointer into it.
const char* base_name(const char* path);

// Reads a decimal number at `text` and moves past it; false without a digit or past 2^62.
bool number(const char*& text, std::int64_t& out);

// The value of a variable in `environment`, or null.
const char* variable(char* const* environment, const char* name);

const char* error_name(long err);     // "No such file or directory" for the likely ones
const char* signal_name(int signal);  // "SIGTERM"; "a real-time signal" past 31
int signal_number(const char* name);  // "SIGTERM", "TERM" or "15"; 0 where it is none

// The number that a file begins with, perhaps negative; 0 if there is none.
std::int64_t number_in(const char* path);

// Calls each(number) for the numbers of a file, each of which has a space behind it; false if it can't be opened.
template <class Each>
bool each_number(const char* path, const Each& each) {
    const long fd = sys::open(path, 0 /* O_RDONLY */);
    if (fd < 0) return false;
    char data[1024];
    std::int64_t value = 0;
    for (long got = 0; (got = sys::read(int(fd), data, sizeof data)) > 0;)
        for (const char* at = data; at < data + got; ++at) {
            if (*at == ' ') each(value);
            value = *at == ' ' ? 0 : value * 10 + (*at - '0');
        }
    sys::close(int(fd));
    return true;
}

// A path or word of text and numbers; cut where it is too long.
class Word {
  public:
    Word& operator<<(const char* words);
    Word& operator<<(std::int64_t value);
    char* text() { return text_; }

  private:
    std::size_t used_ = 0;
    char text_[64] = {};
};

// One line (or a few) for descriptor `fd`, written in one piece when it goes out of scope.
class Line {
  public:
    explicit Line(int fd, bool may_block = true) : fd_(fd), may_block_(may_block) {}
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line();  // with may_block false nothing is written where that would wait: the anchor never waits for a reader

    Line& operator<<(const char* words);
    Line& operator<<(std::int64_t value);
    Line& operator<<(int value) { return *this << std::int64_t{value}; }

  private:
    int fd_;
    bool may_block_;
    std::size_t used_ = 0;
    char buffer_[3072];
};

}  // namespace abide::text
