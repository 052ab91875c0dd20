// anchor/boot.cc -- from the words of the command line to an anchor that can't be interrupted.
//
// Owns the start-up contract of protocol/anchor.hpp.  Invariant: when boot() returns, 0-2 and 3 are taken, every other
// open descriptor is one of ours and close-on-exec, and no signal but SIGKILL and SIGSTOP can end the process.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

using text::Line;

constexpr int kFirstOwn = 10;  // descriptors move above this; 3 is kept for the manager's socket
constexpr int kLastSignal = 64;
constexpr int kCloexecNonblock = sys::kCloexec | sys::kNonblock;
constexpr int kMaxHanded = 256;  // --key words

[[noreturn]] void refuse(const char* word, const char* why) {
    Line(2) << "abide-anchor: " << word << ": " << why << "\n";
    sys::exit(2);
}

int read_fd(const char* word, const char* digits) {
    std::int64_t fd = 0;
    if (!text::number(digits, fd) || *digits != 0 || fd > 1 << 20) refuse(word, "expected a descriptor number");
    if (sys::fcntl(int(fd), F_GETFD) < 0) refuse(word, "this descriptor is not open");
    return int(fd);
}

// What the command line, or the anchor before us, handed over.
struct Handed {
    Kept* slots[kMaxHanded];
    int count = 0;
    int state = -1;
    bool rehearse = false;
};

void keep(Anchor& a, Handed& handed, const char* word, std::int64_t key, int fd) {
    Kept* slot = a.kept.add(std::uint64_t(key));
    if (slot == nullptr || slot->fd != 0 || handed.count == kMaxHanded)
        refuse(word, "the key is 0, named twice, or one too many");
    slot->fd = fd;
    handed.slots[handed.count++] = slot;
}

void read_word(Anchor& a, Handed& handed, const char* word) {
    std::int64_t value = 0;
    if (const char* rest = text::after(word, "--manager=")) {
        keep(a, handed, word, std::int64_t(Key::manager_program), read_fd(word, rest));
    } else if (rest = text::after(word, "--key="); rest != nullptr) {
        if (!text::number(rest, value) || *rest != '=') refuse(word, "expected --key=KEY=FD");
        keep(a, handed, word, value, read_fd(word, rest + 1));
    } else if (rest = text::after(word, "--grace-ms="); rest != nullptr) {
        if (!text::number(rest, value) || *rest != 0 || value > 86'400'000) refuse(word, "expected milliseconds");
        a.grace_ms = std::uint32_t(value);
    } else if (rest = text::after(word, "--hang-ms="); rest != nullptr) {
        if (!text::number(rest, value) || *rest != 0 || value > 86'400'000) refuse(word, "expected milliseconds");
        a.hang_ns = value * kMs;
    } else if (rest = text::after(word, "--epoch="); rest != nullptr) {
        if (!text::number(rest, value) || *rest != 0) refuse(word, "expected a number");
        a.manager.epoch = std::uint64_t(value);
        a.manager.start = Start::adopted;
    } else if (rest = text::after(word, "--state="); rest != nullptr) {
        handed.state = read_fd(word, rest);
    } else if (text::equal(word, "--rehearse")) {
        handed.rehearse = true;
    } else {
        refuse(word, "unknown word");
    }
}

void fill_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (sys::fcntl(fd, F_GETFD) >= 0) continue;
        long null = sys::open("/dev/null", O_RDWR);
        if (null < 0) null = sys::call(__NR_memfd_create, sys::at("null"), 1 /* MFD_CLOEXEC */);  // no /dev yet
        if (null == fd)
            sys::fcntl(fd, F_SETFD, 0);
        else if (null >= 0) {
            sys::dup_to(int(null), fd, 0);
            sys::close(int(null));
        }
    }
}

bool is_handed(const Handed& handed, int fd) {
    for (int i = 0; i < handed.count; ++i)
        if (handed.slots[i]->fd == fd) return true;
    return false;
}

// Everything that was not handed over is closed: a pipe's end left open here would keep its reader waiting for ever.
void take_descriptors(const Handed& handed) {
    int highest = 3;
    for (int i = 0; i < handed.count; ++i) {
        int& fd = handed.slots[i]->fd;
        // One descriptor may stand under two keys, but each key owns its own; low numbers are the manager's.
        fd = int(sys::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwn));
        if (fd < 0) refuse("descriptors", text::error_name(fd));
        if (fd > highest) highest = fd;
    }
    for (int fd = 3; fd < highest; ++fd)
        if (!is_handed(handed, fd)) sys::close(fd);
    if (sys::call(__NR_close_range, highest + 1, ~0u, 0) < 0)  // Linux before 5.9
        for (int fd = highest + 1; fd < 4096; ++fd) sys::close(fd);
}

void take_signals(Anchor& a, bool renewed) {
    const sys::Action action{};  // an inherited SIG_IGN of SIGCHLD would reap behind our back
    for (int signal = 1; signal <= kLastSignal; ++signal) {
        if (renewed && signal != SIGCHLD) continue;  // to set what is set may discard what is pending, sigaction(2)
        sys::set_action(signal, &action);
    }
    survive_faults(a);
    const std::uint64_t all = ~kFaults;
    sys::set_mask(all);
    const __kernel_timespec moment{0, kMs};
    do a.signals = int(sys::call(__NR_signalfd4, -1, sys::at(&all), sys::kSignalSetBytes, kCloexecNonblock));
    while (a.signals < 0 && renewed && sys::poll(nullptr, 0, &moment) <= 0);  // there is no way back: it will be had
    if (a.signals < 0) refuse("signalfd", text::error_name(a.signals));
}

}  // namespace

void boot(Anchor& a, Launch& launch) {
    a.environment = launch.environment;
    a.words = launch.argv;
    a.grace_ms = kGraceMs;
    a.hang_ns = kHangMs * kMs;
    a.manager.socket = -1;
    a.started_ns = sys::monotonic_ns();
    fill_standard_descriptors();
    Handed handed;
    for (int i = 1; i < launch.argc && !text::equal(launch.argv[i], "--"); ++i) read_word(a, handed, launch.argv[i]);
    const bool renewed = handed.state >= 0;
    if (renewed) take_state(a, handed.state, handed.rehearse);
    if (a.kept.find(std::uint64_t(Key::manager_program)) == nullptr) refuse("--manager=FD", "missing");
    if (!renewed) take_descriptors(handed);
    sys::dup_to(0, 3, sys::kCloexec);
    take_signals(a, renewed);
    sys::prctl(PR_SET_NAME, sys::at("abide-anchor"));
    a.sweep_ns = a.started_ns;  // children from before the exec may have ended already
    if (renewed) return;

    a.is_pid1 = sys::getpid() == 1;
    a.is_subreaper = !a.is_pid1 && sys::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
    char self[24] = {};
    const long length = sys::readlink("/proc/self", self, sizeof self - 1);
    const char* digits = self;
    std::int64_t pid = 0;
    a.has_proc = length > 0 && text::number(digits, pid) && pid == sys::getpid();

    sys::call(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, sys::at(&a.open_files));
    const sys::Limits raised{a.open_files.hard, a.open_files.hard};
    sys::call(__NR_prlimit64, 0, RLIMIT_NOFILE, sys::at(&raised), 0);
    a.oom_score_adj = int(text::number_in("/proc/self/oom_score_adj"));
    if (const long fd = sys::open("/proc/self/oom_score_adj", O_WRONLY); fd >= 0) {
        sys::write(int(fd), "-1000", 5);  // refused without CAP_SYS_RESOURCE: then we are as likely a victim as others
        sys::close(int(fd));
    }
}

}  // namespace abide::anchor
