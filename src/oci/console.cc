// oci/console.cc -- see the header.
#include "oci/console.hpp"

#include <cstddef>
#include <optional>
#include <string>

#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "kernel/users.hpp"
#include "oci/bundle.hpp"

namespace abide::oci {

namespace {

constexpr std::size_t kMessageBytes = 4096;  // runc sends a name with it
constexpr int kConnections = 16;             // looked at in one go

}  // namespace

Result<Console> Console::listen(int folder) {
    static_cast<void>(kernel::unlink_beneath(folder, kConsoleName));
    // The folder's own path may be longer than an address can be (unix(7)).
    const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + std::string(kConsoleName);
    Result<kernel::Fd> listener = kernel::listen_unix(path, 0600, SOCK_STREAM, 1);
    if (!listener) return std::unexpected(listener.error());
    return Console(std::move(*listener));
}

kernel::Fd Console::take() {
    for (int i = 0; i < kConnections; ++i) {
        if (connection_) {
            kernel::Fd master = receive();
            if (master || connection_) return master;
        }
        Result<std::optional<kernel::Fd>> next = kernel::accept_connection(listener_.get());
        if (!next || !*next) return {};
        const Result<kernel::Peer> peer = kernel::peer_of((*next)->get());
        if (peer && peer->known && peer->uid == kernel::effective_uid()) connection_ = std::move(**next);
    }
    return {};
}

// A connection that has ended, or that sent something else, is given up.
kernel::Fd Console::receive() {
    std::array<std::byte, kMessageBytes> buffer{};
    Result<kernel::Received> got = kernel::receive(connection_.get(), buffer);
    if (got && got->nothing_now) return {};
    connection_.reset();
    const bool good = got && got->fds.size() == 1 && kernel::is_terminal_master(got->fds.front().get());
    return good ? std::move(got->fds.front()) : kernel::Fd{};
}

}  // namespace abide::oci
