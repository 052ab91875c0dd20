// manager/clients.cc -- see the header.
#include "manager/clients.hpp"

#include <array>
#include <span>

#include "base/limits.hpp"
#include "kernel/files.hpp"
#include "kernel/socket.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

namespace {

constexpr Duration kStallPatience = seconds(60);
constexpr std::size_t kReadAtOnce = 64u << 10;
constexpr std::size_t kStrangerBytes = 4096;  // a call of somebody who may do nothing
constexpr int kWriteRounds = 64;

}  // namespace

std::size_t message_limit(model::Permission permission) {
    switch (permission) {
        case model::Permission::administer: return limits::kMessageBytes;
        case model::Permission::operate:
        case model::Permission::read_logs:
        case model::Permission::read: return limits::kRequestBytes;
        case model::Permission::none: break;
    }
    return kStrangerBytes;
}

Result<std::optional<Arrived>> next_arrived(int listener) {
    for (;;) {
        Result<std::optional<kernel::Fd>> accepted = kernel::accept_connection(listener);
        if (!accepted) return std::unexpected(accepted.error());
        if (!*accepted) return std::nullopt;
        Result<Caller> caller = caller_of((*accepted)->get());
        if (caller) return Arrived{std::move(**accepted), std::move(*caller)};
    }
}

void refuse(const Arrived& arrived) {
    const std::string refusal = control::error_message(
        {ErrorKind::refused, "too many connections of user " + std::to_string(arrived.caller.uid), 0,
         "close some first"});
    static_cast<void>(kernel::send(arrived.socket.get(), std::as_bytes(std::span(refusal))));
}

void Client::read(const Now& now) {
    std::array<char, kReadAtOnce> buffer;
    const Result<std::size_t> got = kernel::read_some(socket.get(), buffer.data(), buffer.size());
    if (got && *got == kernel::kNothingNow) return;
    if (!got || *got == 0) {
        closing = true;
        out.clear();
        sent = 0;
        return;
    }
    stalled = now.mono + kStallPatience;
    if (const Status fed = reader.feed({buffer.data(), *got}); !fed) {
        out += control::error_message(fed.error());
        closing = true;
    }
}

std::size_t Client::write(const Now& now) {
    std::size_t left = 0;
    for (int round = 0; round < kWriteRounds && sent < out.size(); ++round) {
        const std::string_view rest = std::string_view(out).substr(sent);
        const Result<std::size_t> taken = kernel::send_some(socket.get(), rest.data(), rest.size());
        if (!taken) {
            closing = true;
            out.clear();
            sent = 0;
            return left;
        }
        if (*taken == 0) break;
        sent += *taken;
        left += *taken;
        stalled = now.mono + kStallPatience;
    }
    if (sent < out.size()) return left;
    out.clear();
    out.shrink_to_fit();
    sent = 0;
    return left;
}

}  // namespace abide::manager
