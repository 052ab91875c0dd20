// anchor/wishes.cc -- signals sent to the anchor are wishes: kept until a manager has answered them.
#include "anchor/anchor.hpp"

namespace abide::anchor {
namespace {

constexpr int kFirstRealTime = 34;  // 32 and 33 belong to the C library

bool is_wish(int signal) {
    switch (signal) {
        case SIGTERM:
        case SIGINT:
        case SIGHUP:
        case SIGQUIT:
        case SIGUSR1:
        case SIGUSR2:
        case SIGPWR:
        case SIGWINCH: return true;
        default: return signal >= kFirstRealTime;  // as a machine's init they mean poweroff, reboot, ...
    }
}

}  // namespace

// One read takes as many as ever wait at once, as a rule; what is left keeps the descriptor readable.
void read_signals(Anchor& a) {
    signalfd_siginfo infos[8];
    const long got = sys::read(a.signals, infos, sizeof infos);
    for (long i = 0; i < got / long(sizeof infos[0]); ++i) {
        const int signal = int(infos[i].ssi_signo), by = int(infos[i].ssi_pid);
        if (signal == SIGCHLD) child_signal(a, by), look_for_stop(a);
        if (!is_wish(signal) || a.wish_count == kMaxWishes) continue;
        if (++a.wish_tag == 0) ++a.wish_tag;
        a.wishes[a.wish_count++] = {a.wish_tag, false, {signal, by, infos[i].ssi_uid, infos[i].ssi_code}};
    }
}

void push_wishes(Anchor& a) {
    for (std::uint32_t i = 0; i < a.wish_count && can_send(a); ++i) {
        if (a.wishes[i].sent) continue;
        Frame frame;
        frame.header = {std::uint16_t(Verb::wish), 0, a.wishes[i].tag, 1, 0};
        *reinterpret_cast<Wish*>(frame.body) = a.wishes[i].wish;
        if (hang_deadline(a) == 0) a.manager.heard_ns = sys::monotonic_ns();
        if (send(a, frame, sizeof(Wish)) != Sent::yes) return;
        a.wishes[i].sent = true;
    }
}

void answer_wish(Anchor& a, std::uint32_t tag) {
    for (std::uint32_t i = 0; i < a.wish_count; ++i) {
        if (a.wishes[i].tag != tag) continue;
        for (--a.wish_count; i < a.wish_count; ++i) a.wishes[i] = a.wishes[i + 1];
        return;
    }
}

bool stop_wished(const Anchor& a) {
    for (std::uint32_t i = 0; i < a.wish_count; ++i)
        if (a.wishes[i].wish.signal == SIGTERM || a.wishes[i].wish.signal == SIGINT) return true;
    return false;
}

}  // namespace abide::anchor
