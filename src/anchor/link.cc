// anchor/link.cc -- packets between anchor and manager, without waiting and without a queue.
//
// Owns the socket's use.  May not know what a verb means.  Invariant: at most one answer waits; while it does, no
// request is read, so descriptors that it names stay kept.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

constexpr int kRequestsPerTurn = 64;       // then signals and the manager's end get their turn
constexpr std::uint32_t kMaxPassed = 253;  // SCM_MAX_FD, unix(7)

struct Control {
    sys::ControlHeader header;
    int fds[kMaxPassed + 1];
};

std::uint32_t attach(Anchor& a, const Frame& frame, Control& control) {
    const bool passes = frame.header.verb == std::uint16_t(Verb::get) && (frame.header.flags & kAnswer) != 0;
    if (!passes || frame.header.count == 0) return 0;
    const auto* keys = reinterpret_cast<const std::uint64_t*>(frame.body);
    for (std::uint32_t i = 0; i < frame.header.count; ++i) control.fds[i] = a.kept.find(keys[i])->fd;
    control.header = {sizeof(sys::ControlHeader) + frame.header.count * sizeof(int), sys::kSolSocket, sys::kScmRights};
    return frame.header.count;
}

}  // namespace

bool can_send(const Anchor& a) {
    return a.manager.socket >= 0 && a.manager.greeted && a.out_bytes == 0;
}

void drop_link(Anchor& a) {
    if (a.manager.socket >= 0) sys::close(a.manager.socket);
    a.manager.socket = -1;
    a.out_bytes = 0;
}

Sent send(Anchor& a, Frame& frame, std::size_t body_bytes) {
    Control control;
    const std::uint32_t fds = attach(a, frame, control);
    iovec part{&frame, sizeof(Header) + body_bytes};
    sys::Message message{nullptr, 0, &part, 1, nullptr, 0, 0};
    if (fds > 0) message.control = &control, message.control_bytes = sizeof(sys::ControlHeader) + ((fds + 1) / 2) * 8;
    const long sent =
        sys::call(__NR_sendmsg, a.manager.socket, sys::at(&message), sys::kMsgDontWait | sys::kMsgNoSignal);
    if (sent >= 0) return Sent::yes;
    if (sent == -EAGAIN || sent == -ENOBUFS || sent == -ENOMEM || sent == -EINTR) return Sent::later;
    if (fds > 0 && sent != -EPIPE && sent != -ECONNRESET) {  // ETOOMANYREFS: too many descriptors in flight
        frame.header.status = std::uint32_t(-sent);
        frame.header.count = 0;
        return send(a, frame, 0);
    }
    return Sent::broken;  // it is ending: what it said before is still read
}

void flush(Anchor& a) {
    if (a.manager.socket < 0) return;
    if (a.out_bytes > 0 && send(a, a.out, a.out_bytes - sizeof(Header)) != Sent::later) a.out_bytes = 0;
    answer_renewal(a);
    push_wishes(a);
    push_exits(a);
}

void serve(Anchor& a) {
    for (int turn = 0; turn < kRequestsPerTurn && a.manager.socket >= 0 && a.out_bytes == 0; ++turn) {
        Control control;
        iovec part{&a.in, sizeof a.in};
        sys::Message message{nullptr, 0, &part, 1, &control, sizeof control, 0};
        const long got =
            sys::call(__NR_recvmsg, a.manager.socket, sys::at(&message), sys::kMsgDontWait | sys::kMsgCloexec);
        if (got == -ECONNRESET) continue;  // it ended without reading all; what it wrote comes after this error
        if (got == -EAGAIN || got == -EINTR || got == -ENOMEM) return;
        if (got <= 0) return drop_link(a);  // a packet of no bytes looks like the end, and no manager sends one
        std::uint32_t fds = 0;
        if (message.control_bytes > sizeof(sys::ControlHeader) && control.header.type == sys::kScmRights)
            fds = std::uint32_t((control.header.bytes - sizeof(sys::ControlHeader)) / sizeof(int));

        a.manager.heard_ns = sys::monotonic_ns();
        const bool cut = (message.flags & (sys::kMsgTruncated | sys::kMsgControlTruncated)) != 0;
        std::size_t out_bytes = 0;
        bool good = !cut && got >= long(sizeof(Header));
        if (good) good = handle(a, std::size_t(got) - sizeof(Header), control.fds, fds, a.out, out_bytes);
        if (!good) {
            ++a.ignored_frames;
            for (std::uint32_t i = 0; i < fds; ++i) close_later(a, control.fds[i]);
            // A cut control message means that we are out of descriptor numbers: say so, the asker can drop some.
            if ((message.flags & sys::kMsgControlTruncated) == 0 || got < long(sizeof(Header)) || a.in.header.tag == 0)
                continue;
            a.out.header = {a.in.header.verb, kAnswer, a.in.header.tag, 0, EMFILE};
            out_bytes = sizeof(Header);
        }
        if (out_bytes > 0 && send(a, a.out, out_bytes - sizeof(Header)) == Sent::later) a.out_bytes = out_bytes;
        if (a.end_asked) return;
    }
}

}  // namespace abide::anchor
