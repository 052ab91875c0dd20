// The anchor's side of its protocol under any packets, descriptors included: it answers or ignores each, keeps what it
// was given and nothing else, and never runs out of its own bounds.  The input is a list of packets: two bytes of
// length, one of how many descriptors go along, and the packet.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "anchor_side.hpp"
#include "fuzz.hpp"
#include "kernel/socket.hpp"
#include "protocol/anchor.hpp"

namespace {

using namespace abide;
using fuzz::demand;

constexpr int kPackets = 64;
constexpr int kFewDescriptors = 64;

// Every answer is whole and as long as its verb and count say.
void check_answers(int socket) {
    std::array<std::byte, anchor::kMaxFrameBytes> buffer;
    while (true) {
        const Result<kernel::Received> got = kernel::receive(socket, buffer);
        if (!got || got->nothing_now || got->end_of_stream) return;
        demand(got->size >= sizeof(anchor::Header), "an answer shorter than its header");
        anchor::Header header;
        std::memcpy(&header, buffer.data(), sizeof header);
        const auto verb = static_cast<anchor::Verb>(header.verb);
        if (verb == anchor::Verb::get) demand(got->fds.size() == header.count, "descriptors and keys differ");
        const std::size_t body = got->size - sizeof header;
        if (verb == anchor::Verb::list || verb == anchor::Verb::get)
            demand(body == header.count * sizeof(std::uint64_t), "a list of another length than its count");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const int spare = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return 0;
    {
        fuzz::AnchorSide side(pair->first.release());
        fuzz::Bytes bytes(data, size);
        for (int i = 0; i < kPackets && !bytes.empty() && side.listens(); ++i) {
            const std::size_t length = bytes.byte() | static_cast<std::size_t>(bytes.byte()) << 8;
            const std::vector<int> fds(bytes.byte() % 129, spare);
            const std::string_view packet = bytes.take(length);
            (void)kernel::send(pair->second.get(), std::as_bytes(std::span(packet.data(), packet.size())), fds);
            side.turn();
            check_answers(pair->second.get());
        }
    }
    // What was opened is closed again, every bit of it.
    const int next = ::fcntl(spare, F_DUPFD_CLOEXEC, 0);
    demand(next >= 0 && next < kFewDescriptors, "descriptors are lost");
    ::close(next);
    return 0;
}
