// hold/main.cc -- abide-hold: the last steps before a program, with memory of its own.
//
// Owns nothing and decides nothing: it carries out one request (HoldHeader in kernel/spawn_plan.hpp) from the Spawner,
// says how it went on a pipe that closes on exec, and becomes the program.  Freestanding and static: no C library, so
// that it starts in microseconds and nothing that is replaced on disk can break it.
//
//     abide-hold REQUEST OUTCOME [RELEASE]        descriptor numbers
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mount.h>

#include "kernel/raw.hpp"
#include "kernel/spawn_steps.hpp"

// The compiler may ask for these even in freestanding code.
extern "C" void* memcpy(void* to, const void* from, std::size_t size);
extern "C" void* memset(void* to, int value, std::size_t size);
extern "C" void* memcpy(void* to, const void* from, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) static_cast<volatile char*>(to)[i] = static_cast<const char*>(from)[i];
    return to;
}
extern "C" void* memset(void* to, int value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) static_cast<volatile char*>(to)[i] = static_cast<char>(value);
    return to;
}

namespace abide::kernel {
namespace {

using raw::address;
using raw::call;
using raw::error_of;

constexpr int kStatusFailed = 125;
constexpr int kSigpipe = 13;

// What the request's plan refers to, and how far we are.
struct Hold {
    const HoldHeader* request;
    SetupPlan setup;
    std::uint32_t stage;
    int outcome;
    int release;
};

void say(const Hold& hold, HoldWord word, int err) {
    HoldMessage message;
    message.word = word;
    message.stage = hold.stage;
    message.err = err;
    call(__NR_write, hold.outcome, address(&message), sizeof(message));
}

[[noreturn]] void give_up(const Hold& hold, int err) {
    say(hold, kHoldFailed, err);
    raw::leave(kStatusFailed);
}

int parse_number(const char* text) {
    int value = 0;
    for (; *text >= '0' && *text <= '9' && value < 100'000; ++text) value = value * 10 + (*text - '0');
    return value;
}

// Turns offsets into pointers in our private copy of the request.  False when they point elsewhere.
bool relocate(std::byte* base, std::uint64_t size, std::uint64_t offset, const char* const** out) {
    if (offset % 8 != 0 || offset < sizeof(HoldHeader)) return false;
    for (std::uint64_t at = offset; at + 8 <= size; at += 8) {
        auto* entry = reinterpret_cast<std::uint64_t*>(base + at);
        if (*entry == 0) {
            *out = reinterpret_cast<const char* const*>(base + offset);
            return true;
        }
        if (*entry >= size) return false;
        *entry += reinterpret_cast<std::uint64_t>(base);
    }
    return false;
}

template <class T>
bool relocate_array(std::byte* base, std::uint64_t size, std::uint64_t offset, std::uint64_t count, const T** out) {
    *out = reinterpret_cast<const T*>(base + offset);
    return count == 0 || (offset % alignof(T) == 0 && offset < size && count <= (size - offset) / sizeof(T));
}

bool decode(std::byte* base, std::uint64_t size, SetupPlan& setup) {
    const auto* h = reinterpret_cast<const HoldHeader*>(base);
    if (size < sizeof(HoldHeader) || (h->magic != kHoldMagic && h->magic != kHoldMagicPid) || h->size != size ||
        base[size - 1] != std::byte{0})
        return false;
    if (!relocate(base, size, h->argv, &setup.argv) || !relocate(base, size, h->envp, &setup.envp) ||
        !relocate(base, size, h->candidates, &setup.candidates) ||
        !relocate_array(base, size, h->limits, h->limit_count, &setup.limits) ||
        !relocate_array(base, size, h->groups, h->group_count, &setup.groups) || h->directory >= size ||
        (h->magic == kHoldMagicPid && (h->pid_text >= size || size - h->pid_text < kPidTextBytes))) {
        return false;
    }
    if (h->magic == kHoldMagicPid) raw::write_pid_text(reinterpret_cast<char*>(base + h->pid_text));
    setup.directory = h->directory == 0 ? nullptr : reinterpret_cast<const char*>(base + h->directory);
    setup.keep_capabilities = h->keep_capabilities;
    setup.limit_count = h->limit_count;
    setup.group_count = h->group_count;
    setup.uid = h->uid;
    setup.gid = h->gid;
    setup.umask = h->umask;
    setup.nice = h->nice;
    setup.has_credentials = h->has_credentials;
    setup.has_capabilities = h->has_capabilities;
    setup.has_nice = h->has_nice;
    setup.has_umask = h->has_umask;
    setup.no_new_privileges = h->no_new_privileges;
    return true;
}

void read_request(Hold& hold, int fd) {
    hold.stage = static_cast<std::uint32_t>(SpawnStage::hold);
    const long size = call(__NR_lseek, fd, 0, 2 /* SEEK_END */);
    if (size < 0) give_up(hold, error_of(size));
    if (size == 0 || static_cast<std::uint64_t>(size) > kHoldBytes) give_up(hold, EFBIG);
    // PROT_READ | PROT_WRITE, MAP_PRIVATE: the file itself is sealed.
    const long mapped = call(__NR_mmap, 0, size, 3, 2, fd, 0);
    if (mapped < 0 && mapped > -4096) give_up(hold, error_of(mapped));
    call(__NR_close, fd);
    auto* base = reinterpret_cast<std::byte*>(mapped);
    if (!decode(base, static_cast<std::uint64_t>(size), hold.setup)) give_up(hold, EBADMSG);
    hold.request = reinterpret_cast<const HoldHeader*>(base);
}

void set_oom_score(Hold& hold) {
    hold.stage = static_cast<std::uint32_t>(SpawnStage::oom_score);
    char text[12];
    int at = sizeof(text);
    const int score = hold.request->oom_score_adjust;
    unsigned rest = score < 0 ? 0U - static_cast<unsigned>(score) : static_cast<unsigned>(score);
    do {
        text[--at] = static_cast<char>('0' + rest % 10);
        rest /= 10;
    } while (rest > 0 && at > 1);
    if (score < 0) text[--at] = '-';
    const long fd = call(__NR_openat, AT_FDCWD, address("/proc/self/oom_score_adj"), O_WRONLY | O_CLOEXEC);
    if (fd < 0) give_up(hold, error_of(fd));
    const long n = call(__NR_write, fd, address(&text[at]), static_cast<long>(sizeof(text)) - at);
    if (n < 0) give_up(hold, error_of(n));
    call(__NR_close, fd);
}

// A mount namespace that still sees later mounts of the system, with empty folders for temporary files.
void make_private_tmp(Hold& hold) {
    hold.stage = static_cast<std::uint32_t>(SpawnStage::mounts);
    int err = error_of(call(__NR_unshare, CLONE_NEWNS));
    if (err == 0) err = error_of(call(__NR_mount, 0, address("/"), 0, MS_REC | MS_SLAVE, 0));
    if (err != 0) give_up(hold, err);
    const char* const folders[] = {"/tmp", "/var/tmp"};
    for (const char* folder : folders) {
        err = error_of(call(__NR_mount, address("tmpfs"), address(folder), address("tmpfs"), MS_NOSUID | MS_NODEV,
                            address("mode=1777")));
        if (err != 0 && err != ENOENT) give_up(hold, err);
    }
}

// Until somebody writes a byte.  When all who could are gone, the service is never to run.
void wait_for_release(Hold& hold) {
    hold.stage = static_cast<std::uint32_t>(SpawnStage::released);
    say(hold, kHoldHeld, 0);
    char byte = 0;
    for (;;) {
        const long n = call(__NR_read, hold.release, address(&byte), 1);
        if (n == 1 && byte == kHoldGo) break;
        if (n == 1) {
            say(hold, kHoldHeld, 0);
            continue;
        }
        if (n == -EINTR) continue;
        give_up(hold, n < 0 ? error_of(n) : EPIPE);
    }
    call(__NR_close, hold.release);
}

// Called by hand.
[[noreturn]] void explain() {
    static constexpr char kWords[] = "abide-hold: is started by abide only\n";
    constexpr int kStandardError = 2;
    call(__NR_write, kStandardError, address(kWords), sizeof kWords - 1);
    raw::leave(kStatusFailed);
}

[[noreturn]] void run(long argc, char** argv) {
    if (argc < 3) explain();
    Hold hold;
    hold.stage = static_cast<std::uint32_t>(SpawnStage::hold);
    hold.outcome = parse_number(argv[2]);
    hold.release = argc > 3 ? parse_number(argv[3]) : -1;
    // The manager that reads the outcome may be gone.
    raw::set_disposition(kSigpipe, 1);
    call(__NR_prctl, PR_SET_NAME, address(kHoldComm));
    call(__NR_fcntl, hold.outcome, F_SETFD, FD_CLOEXEC);
    say(hold, kHoldRunning, 0);
    read_request(hold, parse_number(argv[1]));
    if (hold.request->has_oom_score) set_oom_score(hold);
    if (hold.request->private_tmp) make_private_tmp(hold);
    raw::Progress progress;
    progress.stage = &hold.stage;
    if (const int err = raw::set_up(&hold.setup, progress); err != 0) give_up(hold, err);
    if (hold.request->wait) wait_for_release(hold);
    hold.stage = static_cast<std::uint32_t>(SpawnStage::exec);
    say(hold, kHoldExec, 0);
    raw::set_disposition(kSigpipe, 0);
    give_up(hold, raw::execute(&hold.setup, progress));
}

}  // namespace
}  // namespace abide::kernel

// The kernel's start of a program: argc and argv lie on the stack.
extern "C" [[noreturn]] __attribute__((used)) void abide_hold_start(long* stack) {
    abide::kernel::run(stack[0], reinterpret_cast<char**>(stack + 1));
}

#if defined(__x86_64__)
asm(".globl _start\n.type _start,@function\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall "
    "abide_hold_start\n\tud2\n");
#elif defined(__aarch64__)
asm(".globl _start\n.type _start,%function\n_start:\n\tmov x29,xzr\n\tmov x30,xzr\n\tmov x0,sp\n\tbl "
    "abide_hold_start\n\tbrk 1\n");
#endif
