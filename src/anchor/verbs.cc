// anchor/verbs.cc -- what each verb of protocol/anchor.hpp does.
//
// Owns the check of each frame.  May not touch the socket.  Invariant: a frame is carried out as a whole or not at all.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

struct Request {
    Anchor& a;
    const Header& header;
    const std::uint8_t* body;
    const int* fds;
    std::uint32_t fd_count;
    Frame& out;

    template <class T>
    const T* items() const {
        return reinterpret_cast<const T*>(body);
    }
    template <class T>
    T* results() const {
        return reinterpret_cast<T*>(out.body);
    }
};

std::size_t hello(const Request& r) {
    Anchor& a = r.a;
    a.manager.greeted = true;
    HelloAnswer answer;
    answer.anchor_pid = sys::getpid();
    answer.flags =
        (a.is_pid1 ? kIsPid1 : 0) | (a.is_subreaper ? kIsSubreaper : 0) | (a.manager.sealed ? kJournalSealed : 0);
    answer.epoch = a.manager.epoch;
    answer.start = std::uint32_t(a.manager.start);
    answer.failures = a.manager.failures;
    answer.last_kind = std::uint32_t(a.manager.last_kind);
    answer.last_status = a.manager.last_status;
    answer.started_ns = std::uint64_t(a.started_ns);
    answer.descriptors = a.kept.count();
    answer.zombies = a.zombies;
    answer.wishes = a.wish_count;
    answer.last_wish = a.wish_count > 0 ? a.wishes[a.wish_count - 1].wish.signal : 0;
    answer.ignored_frames = a.ignored_frames;
    answer.statuses_lost = a.statuses_lost;
    *r.results<HelloAnswer>() = answer;
    r.out.header.count = 1;
    return sizeof answer;
}

// What is the manager's own can't block; all else is closed by a child.
void let_go(const Request& r, int fd) {
    (r.header.flags & kOurs) != 0 ? void(sys::close(fd)) : close_later(r.a, fd);
}

void put(const Request& r) {
    Anchor& a = r.a;
    const auto* keys = r.items<std::uint64_t>();
    std::uint32_t added = 0;
    for (std::uint32_t i = 0; i < r.header.count; ++i) {
        if (keys[i] == 0) r.out.header.status = EINVAL;
        if (a.kept.find(keys[i]) == nullptr) ++added;
    }
    if (a.kept.count() + added > kMaxDescriptors) r.out.header.status = ENOSPC;
    if (r.out.header.status != 0) {
        for (std::uint32_t i = 0; i < r.fd_count; ++i) close_later(a, r.fds[i]);
        return;
    }
    for (std::uint32_t i = 0; i < r.header.count; ++i) {
        Kept* slot = a.kept.add(keys[i]);
        const int old = slot->fd;  // 0 in a new entry: descriptor 0 is never kept
        slot->fd = r.fds[i];
        if (keys[i] == std::uint64_t(Key::journal)) a.manager.sealed = false;
        if (old != 0) let_go(r, old);
    }
}

std::size_t get(const Request& r) {
    const auto* keys = r.items<std::uint64_t>();
    auto* found = r.results<std::uint64_t>();
    for (std::uint32_t i = 0; i < r.header.count; ++i)
        if (r.a.kept.find(keys[i]) != nullptr) found[r.out.header.count++] = keys[i];
    return r.out.header.count * sizeof(std::uint64_t);
}

void drop(const Request& r) {
    const auto* keys = r.items<std::uint64_t>();
    for (std::uint32_t i = 0; i < r.header.count; ++i) {
        Kept* slot = r.a.kept.find(keys[i]);
        if (slot == nullptr) continue;
        let_go(r, slot->fd);
        r.a.kept.remove(slot);
    }
}

// The smallest kListBatch keys above the cursor, by sorting each one in: lists are asked for once in a manager's life.
std::size_t list(const Request& r) {
    const std::uint64_t cursor = *r.items<std::uint64_t>();
    auto* keys = r.results<std::uint64_t>();
    std::uint32_t n = 0;
    for (const Kept& entry : r.a.kept) {
        if (entry.key <= cursor || (n == kListBatch && entry.key >= keys[n - 1])) continue;
        std::uint32_t at = n < kListBatch ? n++ : n - 1;
        for (; at > 0 && keys[at - 1] > entry.key; --at) keys[at] = keys[at - 1];
        keys[at] = entry.key;
    }
    r.out.header.count = n;
    return n * sizeof(std::uint64_t);
}

std::size_t peek(const Request& r) {
    const auto* pids = r.items<std::int32_t>();
    for (std::uint32_t i = 0; i < r.header.count; ++i) r.results<Exit>()[i] = describe(r.a, pids[i]);
    r.out.header.count = r.header.count;
    return r.header.count * sizeof(Exit);
}

void mark(const Request& r) {
    const auto* marks = r.items<Mark>();
    for (std::uint32_t i = 0; i < r.header.count; ++i) {
        const std::uint32_t flags = marks[i].flags & kMarkBits;
        Child* child = marks[i].pid > 0 ? r.a.children.find(std::uint64_t(marks[i].pid)) : nullptr;
        if (child == nullptr && flags != 0 && marks[i].pid > 0) child = r.a.children.add(std::uint64_t(marks[i].pid));
        if (child == nullptr) {
            if (flags != 0) r.out.header.status = marks[i].pid > 0 ? ENOSPC : EINVAL;
            continue;
        }
        child->flags = (child->flags & ~kMarkBits) | flags;
        if (child->flags == 0) r.a.children.remove(child);
    }
}

void ready(Manager& m) {
    if (!m.was_ready) m.ready_ns = sys::monotonic_ns();
    m.was_ready = true;
    m.never_ready = 0;
}

void working(Manager& m, std::uint64_t ms) {
    m.working_ns = sys::monotonic_ns() + std::int64_t(ms < 86'400'000 ? ms : 86'400'000) * kMs;
}

std::size_t generation(const Request& r) {
    Generation& told = *r.results<Generation>();
    told = r.a.probation.told;
    told.ready_ns = std::uint64_t(r.a.manager.ready_ns);
    told.version = kAnchorVersion;
    r.out.header.count = 1;
    return sizeof told;
}

// How many bytes an item of the verb's body has, how many items there may be, and whether it is answered in any case.
struct Shape {
    std::size_t item_bytes;
    std::uint32_t least, most;
    bool question;
};

bool shape_of(Verb verb, Shape& out) {
    switch (verb) {
        case Verb::hello: out = {sizeof(Hello), 1, 1, true}; break;
        case Verb::get: out = {sizeof(std::uint64_t), 0, kBatch, true}; break;
        case Verb::put:
        case Verb::drop: out = {sizeof(std::uint64_t), 0, kBatch, false}; break;
        case Verb::list: out = {sizeof(std::uint64_t), 1, 1, true}; break;
        case Verb::peek: out = {sizeof(std::int32_t), 0, kBatch, true}; break;
        case Verb::reap: out = {sizeof(std::int32_t), 0, kBatch, false}; break;
        case Verb::mark: out = {sizeof(Mark), 0, kBatch, false}; break;
        case Verb::generation: out = {0, 0, 0, true}; break;
        case Verb::ready:
        case Verb::exec_self: out = {0, 0, 0, false}; break;
        case Verb::swap: out = {sizeof(Swap), 1, 1, false}; break;
        case Verb::commit: out = {sizeof(Commit), 1, 1, false}; break;
        case Verb::working: out = {sizeof(Working), 1, 1, false}; break;
        case Verb::end: out = {sizeof(End), 1, 1, false}; break;
        case Verb::wish: out = {sizeof(Wish), 0, 1, false}; break;
        case Verb::exited:
        case Verb::unsupported:
        default: return false;
    }
    return true;
}

}  // namespace

bool handle(Anchor& a, std::size_t body_bytes, const int* fds, std::uint32_t fd_count, Frame& out,
            std::size_t& out_bytes) {
    const Header& header = a.in.header;
    const Verb verb = Verb(header.verb);
    out.header = {header.verb, kAnswer, header.tag, 0, 0};
    Shape shape{};
    if (!shape_of(verb, shape)) {
        for (std::uint32_t i = 0; i < fd_count; ++i) close_later(a, fds[i]);
        out.header.verb = std::uint16_t(Verb::unsupported);
        out.header.status = ENOSYS;
        out_bytes = sizeof(Header);
        return true;
    }
    if (header.count < shape.least || header.count > shape.most || body_bytes != header.count * shape.item_bytes)
        return false;
    if (fd_count != (verb == Verb::put ? header.count : 0)) return false;
    if (((header.flags & kAnswer) != 0) != (verb == Verb::wish)) return false;
    if (!a.manager.greeted && verb != Verb::hello) return false;

    const Request request{a, header, a.in.body, fds, fd_count, out};
    std::size_t body = 0;
    bool asks = shape.question || (header.tag != 0 && verb != Verb::wish);
    switch (verb) {
        case Verb::hello: body = hello(request); break;
        case Verb::put: put(request); break;
        case Verb::get: body = get(request); break;
        case Verb::drop: drop(request); break;
        case Verb::list: body = list(request); break;
        case Verb::peek: body = peek(request); break;
        case Verb::reap:
            for (std::uint32_t i = 0; i < header.count; ++i) acknowledge(a, request.items<std::int32_t>()[i]);
            break;
        case Verb::mark: mark(request); break;
        case Verb::ready: ready(a.manager); break;
        case Verb::working: working(a.manager, request.items<Working>()->extend_ms); break;
        case Verb::end: a.end = *request.items<End>(), a.end_asked = true; break;
        case Verb::swap: out.header.status = begin_swap(a, *request.items<Swap>()); break;
        case Verb::commit: out.header.status = commit_swap(a, *request.items<Commit>()); break;
        case Verb::generation: body = generation(request); break;
        case Verb::exec_self:
            out.header.status = begin_renewal(a, header.tag);
            asks = asks && out.header.status != 0;  // else it is answered when it is known
            break;
        case Verb::wish: answer_wish(a, header.tag); break;
        case Verb::exited:
        case Verb::unsupported: break;
    }
    out_bytes = asks ? sizeof(Header) + body : 0;
    return true;
}

}  // namespace abide::anchor
