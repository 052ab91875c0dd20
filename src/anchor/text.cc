// anchor/text.cc -- see text.hpp; also the four functions that a compiler may call by itself.
#include "anchor/text.hpp"

extern "C" {

void* memcpy(void* to, const void* from, std::size_t bytes) {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    while (bytes-- > 0) *out++ = *in++;
    return to;
}

void* memmove(void* to, const void* from, std::size_t bytes) {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    if (out <= in) return memcpy(to, from, bytes);
    while (bytes-- > 0) out[bytes] = in[bytes];
    return to;
}

void* memset(void* to, int byte, std::size_t bytes) {
    auto* out = static_cast<unsigned char*>(to);
    while (bytes-- > 0) *out++ = static_cast<unsigned char>(byte);
    return to;
}

int memcmp(const void* a, const void* b, std::size_t bytes) {
    const auto* left = static_cast<const unsigned char*>(a);
    const auto* right = static_cast<const unsigned char*>(b);
    for (; bytes > 0; --bytes, ++left, ++right)
        if (*left != *right) return *left - *right;
    return 0;
}

std::size_t strlen(const char* text) {
    std::size_t n = 0;
    while (text[n] != 0) ++n;
    return n;
}

}  // extern "C"

namespace abide::text {
namespace {

constexpr const char* kSignals[] = {"",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",  "SIGTRAP",   "SIGABRT",
                                    "SIGBUS",   "SIGFPE",  "SIGKILL",   "SIGUSR1", "SIGSEGV", "SIGUSR2",   "SIGPIPE",
                                    "SIGALRM",  "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP",   "SIGTSTP",
                                    "SIGTTIN",  "SIGTTOU", "SIGURG",    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF",
                                    "SIGWINCH", "SIGIO",   "SIGPWR",    "SIGSYS"};
constexpr int kNamedSignals = 32, kLastSignal = 64;

struct ErrorName {
    int err;
    const char* name;
};
constexpr ErrorName kErrors[] = {
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {ESRCH, "No such process"},
    {EIO, "Input/output error"},
    {E2BIG, "Argument list too long"},
    {ENOEXEC, "Exec format error"},
    {EBADF, "Bad file descriptor"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"},
    {EACCES, "Permission denied"},
    {ENOTDIR, "Not a directory"},
    {EISDIR, "Is a directory"},
    {EINVAL, "Invalid argument"},
    {ENFILE, "Too many open files in system"},
    {EMFILE, "Too many open files"},
    {ENOTTY, "Inappropriate ioctl for device"},
    {ETXTBSY, "Text file busy"},
    {ENOSYS, "Function not implemented"},
    {ELOOP, "Too many levels of symbolic links"},
    {ENAMETOOLONG, "File name too long"},
};

// From the end of the buffer backwards.
const char* in_digits(char* buffer, std::size_t bytes, std::int64_t value) {
    char* at = buffer + bytes - 1;
    *at = 0;
    std::uint64_t rest = value < 0 ? 0 - std::uint64_t(value) : std::uint64_t(value);
    do *--at = char('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0) *--at = '-';
    return at;
}

}  // namespace

bool equal(const char* a, const char* b) {
    while (*a != 0 && *a == *b) ++a, ++b;
    return *a == *b;
}

bool ends_with(const char* text, const char* tail) {
    const std::size_t n = strlen(text), m = strlen(tail);
    return n >= m && equal(text + n - m, tail);
}

const char* after(const char* text, const char* head) {
    for (; *head != 0; ++text, ++head)
        if (*text != *head) return nullptr;
    return text;
}

const char* base_name(const char* path) {
    const char* name = path;
    for (; *path != 0; ++path)
        if (*path == '/') name = path + 1;
    return name;
}

bool number(const char*& text, std::int64_t& out) {
    if (*text < '0' || *text > '9') return false;
    std::int64_t value = 0;
    for (; *text >= '0' && *text <= '9'; ++text) {
        if (value > (1ll << 62) / 10) return false;
        value = value * 10 + (*text - '0');
    }
    out = value;
    return true;
}

const char* variable(char* const* environment, const char* name) {
    for (; *environment != nullptr; ++environment)
        if (const char* rest = after(*environment, name); rest != nullptr && *rest == '=') return rest + 1;
    return nullptr;
}

const char* error_name(long err) {
    for (const ErrorName& entry : kErrors)
        if (entry.err == (err < 0 ? -err : err)) return entry.name;
    return "Unexpected error";
}

const char* signal_name(int signal) {
    return signal > 0 && signal < kNamedSignals ? kSignals[signal] : "a real-time signal";
}

int signal_number(const char* name) {
    std::int64_t value = 0;
    const char* rest = name;
    if (number(rest, value)) return *rest == 0 && value <= kLastSignal ? int(value) : 0;
    for (int i = 1; i < kNamedSignals; ++i)
        if (equal(kSignals[i], name) || equal(kSignals[i] + 3, name)) return i;
    return 0;
}

std::int64_t number_in(const char* path) {
    char data[24] = {};
    const long fd = sys::open(path, 0 /* O_RDONLY */);
    if (fd < 0) return 0;
    sys::read(int(fd), data, sizeof data - 1);
    sys::close(int(fd));
    const bool negative = data[0] == '-';
    const char* digits = data + (negative ? 1 : 0);
    std::int64_t value = 0;
    number(digits, value);
    return negative ? -value : value;
}

Word& Word::operator<<(const char* words) {
    while (*words != 0 && used_ < sizeof text_ - 1) text_[used_++] = *words++;
    return *this;
}

Word& Word::operator<<(std::int64_t value) {
    char digits[24];
    return *this << in_digits(digits, sizeof digits, value);
}

Line& Line::operator<<(const char* words) {
    while (*words != 0 && used_ < sizeof buffer_) buffer_[used_++] = *words++;
    return *this;
}

Line& Line::operator<<(std::int64_t value) {
    char digits[24];
    return *this << in_digits(digits, sizeof digits, value);
}

Line::~Line() {
    if (!may_block_) {
        sys::PollFd room{fd_, POLLOUT, 0};
        __kernel_timespec at_once{};
        if (sys::poll(&room, 1, &at_once) != 1 || (room.revents & POLLOUT) == 0) return;
    }
    for (std::size_t done = 0; done < used_;) {
        const long wrote = sys::write(fd_, buffer_ + done, used_ - done);
        if (wrote == -EINTR) continue;
        if (wrote <= 0) return;
        done += std::size_t(wrote);
    }
}

}  // namespace abide::text
