// anchor/renew.cc -- the anchor executes another version of itself: children, zombies, descriptors and pending signals
// stay.
//
// What it knows goes into a memory file of sections (a number, the size and count of its items), so that a reader that
// is older or newer takes what it knows.  A forked child tries it first: the new program reads that file, finds every
// descriptor, and ends with kRehearsed.  If anything fails, the old program goes on: nothing was given away. Invariant:
// between the writing of the state and the exec nothing else happens.
#include <linux/close_range.h>

#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

using text::Line;

constexpr std::uint64_t kMagic = 0x31524f48434e4142;  // "BANCHOR1"
constexpr std::int64_t kPatienceNs = 2000 * kMs;      // with the rehearsal
constexpr int kRehearsed = 97, kMaxWords = 64, kAttempts = 1000;
constexpr std::size_t kMaxItem = 4096;
static_assert(sizeof(Lasting) <= kMaxItem);

struct Section {
    enum Kind : std::uint32_t { lasting = 1, kept = 2, children = 3, statuses = 4, end = 5 };
    std::uint64_t magic;
    std::uint32_t kind, item_bytes, count, reserved;
};

bool put_section(int fd, std::uint32_t kind, const void* items, std::size_t item_bytes, std::size_t count) {
    const Section head{kMagic, kind, std::uint32_t(item_bytes), std::uint32_t(count), 0};
    const std::size_t bytes = item_bytes * count;
    if (sys::write(fd, &head, sizeof head) != long(sizeof head)) return false;
    return bytes == 0 || sys::write(fd, items, bytes) == long(bytes);
}

long write_state(Anchor& a) {
    const long fd = sys::call(__NR_memfd_create, sys::at("abide-anchor"), 1 /* MFD_CLOEXEC */);
    if (fd < 0) return fd;
    std::size_t used = kMaxStatuses;
    while (used > 0 && a.statuses[used - 1].pid == 0) --used;
    const Lasting& lasting = a;
    const bool good = put_section(int(fd), Section::lasting, &lasting, sizeof lasting, 1) &&
                      put_section(int(fd), Section::kept, a.kept.begin(), sizeof(Kept), a.kept.count()) &&
                      put_section(int(fd), Section::children, a.children.begin(), sizeof(Child), a.children.count()) &&
                      put_section(int(fd), Section::statuses, a.statuses, sizeof(Exit), used) &&
                      put_section(int(fd), Section::end, nullptr, 0, 0) &&
                      sys::call(__NR_lseek, fd, 0, 0 /* SEEK_SET */) == 0;
    if (good) return fd;
    sys::close(int(fd));
    return -ENOMEM;
}

// For the exec all that is ours stays open; if it fails, nothing may leak into children again.
void keep_open(Anchor& a, int state, bool open) {
    const long flags = open ? 0 : 1 /* FD_CLOEXEC */;
    for (const Kept& entry : a.kept) sys::fcntl(entry.fd, F_SETFD, flags);
    if (a.manager.pid != 0) sys::fcntl(a.manager.pidfd, F_SETFD, flags);
    if (a.manager.socket >= 0) sys::fcntl(a.manager.socket, F_SETFD, flags);
    sys::fcntl(state, F_SETFD, flags);
}

// Returns only when the kernel refuses.  What follows `--` in our words is for people, and goes along.
long execute(Anchor& a, int program, int state, bool rehearse) {
    static char name[] = "abide-anchor", trial[] = "--rehearse", dashes[] = "--", empty[] = "";
    text::Word option;
    option << "--state=" << state;
    char* words[kMaxWords] = {name, option.text(), rehearse ? trial : dashes};
    char** rest = a.words;
    while (*rest != nullptr && !text::equal(*rest, "--")) ++rest;
    for (int i = 3; !rehearse && *rest != nullptr && *++rest != nullptr && i < kMaxWords - 1; ++i) words[i] = *rest;
    return sys::call(__NR_execveat, program, sys::at(empty), sys::at(words), sys::at(a.environment), AT_EMPTY_PATH);
}

void give_up(Anchor& a, std::uint32_t error) {
    a.renewal.status = error;
    a.renewal.answer_due = a.renewal.tag != 0;
    a.renewal.rehearsed = false;
    a.renewal.deadline_ns = 0;
}

[[noreturn]] void refuse(const char* why) {
    Line(2, false) << "abide-anchor: the state of the one before: " << why << "\n";
    sys::exit(2);
}

bool read_exactly(int fd, void* out, std::size_t bytes) {
    long got = -1;
    for (int attempt = 0; got < 0 && attempt < kAttempts; ++attempt) got = sys::read(fd, out, bytes);
    return got == long(bytes);
}

// What an older version did not write stays zero, what a newer one wrote more is left out.
template <class T>
T item_as(const std::uint8_t* bytes, std::size_t count) {
    T item{};
    memcpy(&item, bytes, count < sizeof item ? count : sizeof item);
    return item;
}

bool read_section(Anchor& a, int fd, const Section& head) {
    alignas(8) std::uint8_t item[kMaxItem];
    if (head.item_bytes > sizeof item) return false;
    for (std::uint32_t i = 0; i < head.count; ++i) {
        if (!read_exactly(fd, item, head.item_bytes)) return false;
        const Kept kept = item_as<Kept>(item, head.item_bytes);
        const Child child = item_as<Child>(item, head.item_bytes);
        if (head.kind == Section::lasting) static_cast<Lasting&>(a) = item_as<Lasting>(item, head.item_bytes);
        if (head.kind == Section::statuses && i < kMaxStatuses) a.statuses[i] = item_as<Exit>(item, head.item_bytes);
        if (head.kind == Section::kept)
            if (Kept* slot = a.kept.add(kept.key)) *slot = kept;
        if (head.kind == Section::children)
            if (Child* slot = a.children.add(child.key)) *slot = child;
    }
    return true;
}

}  // namespace

std::uint32_t begin_renewal(Anchor& a, std::uint32_t tag) {
    Renewal& r = a.renewal;
    const Kept* program = a.kept.find(std::uint64_t(Key::next_anchor));
    if (program == nullptr) return ENOENT;
    if (r.rehearsal != 0 || r.rehearsed || r.answer_due) return EBUSY;
    const long state = write_state(a);
    if (state < 0) return std::uint32_t(-state);
    const long pid = sys::fork();
    if (pid == 0) {
        keep_open(a, int(state), true);
        sys::set_mask(0);
        execute(a, program->fd, int(state), true);
        sys::exit(127);
    }
    sys::close(int(state));
    if (pid < 0) return std::uint32_t(-pid);
    r = {};
    r.rehearsal = int(pid);
    r.tag = tag;
    r.deadline_ns = sys::monotonic_ns() + kPatienceNs;
    return 0;
}

bool is_rehearsal(Anchor& a, int pid) {
    if (pid == 0 || pid != a.renewal.rehearsal) return false;
    Exit exit;
    const Ended kind = look(pid, exit, true);
    a.renewal.rehearsal = 0;
    a.renewal.rehearsed = kind == Ended::exited && exit.status == kRehearsed;
    if (!a.renewal.rehearsed) give_up(a, ENOEXEC);
    return true;
}

void tend_renewal(Anchor& a, std::int64_t now) {
    Renewal& r = a.renewal;
    if (r.rehearsal != 0 && r.deadline_ns != 0 && now >= r.deadline_ns) {
        sys::kill(r.rehearsal, SIGKILL);  // our child, and not reaped: the number is its own
        r.deadline_ns = 0;
    }
    if (!r.rehearsed || a.out_bytes > 0) return;
    start_closers(a);
    while (a.closing_count > 0) sys::close(a.closing[--a.closing_count]);  // no child could be had for them
    const Kept* program = a.kept.find(std::uint64_t(Key::next_anchor));
    r.rehearsed = false;
    r.deadline_ns = 0;
    ++a.probation.told.execs;
    const long state = program == nullptr ? -ENOENT : write_state(a);
    long err = state;
    if (state >= 0) {
        keep_open(a, int(state), true);
        err = execute(a, program->fd, int(state), false);
        keep_open(a, int(state), false);
        sys::close(int(state));
    }
    --a.probation.told.execs;
    give_up(a, std::uint32_t(-err));
}

void answer_renewal(Anchor& a) {
    if (!a.renewal.answer_due || !can_send(a)) return;
    a.out.header = {std::uint16_t(Verb::exec_self), kAnswer, a.renewal.tag, 0, a.renewal.status};
    a.renewal = {};
    if (send(a, a.out, 0) == Sent::later) a.out_bytes = sizeof(Header);
}

void take_state(Anchor& a, int fd, bool rehearse) {
    for (Section head{}; head.kind != Section::end;) {
        if (!read_exactly(fd, &head, sizeof head) || head.magic != kMagic) refuse("it is none");
        if (!read_section(a, fd, head)) refuse("it is cut off");
    }
    sys::close(fd);
    const Kept* program = a.kept.find(std::uint64_t(Key::manager_program));
    if (program == nullptr || a.started_ns == 0) refuse("it lacks the manager's program");
    for (const Kept& entry : a.kept)
        if (sys::fcntl(entry.fd, F_SETFD, 1 /* FD_CLOEXEC */) < 0 && rehearse) refuse("a descriptor is missing");
    if (rehearse) sys::exit(kRehearsed);
    keep_open(a, program->fd, false);
    give_up(a, 0);
    if (Kept* next = a.kept.find(std::uint64_t(Key::next_anchor))) {
        sys::close(next->fd);
        a.kept.remove(next);
    }
}

}  // namespace abide::anchor
