// The manager's side of the anchor's protocol under any packets: nothing that a broken anchor could say makes it read
// past a packet or lose a descriptor.  Input as for anchor.cc.
#include "manager/anchor_link.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.hpp"
#include "kernel/socket.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace abide;
    static const int spare = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return 0;
    {
        manager::AnchorLink link(std::move(pair->first));
        std::size_t answered = 0;
        for (std::uint64_t key = 1; key <= 4; ++key)
            link.get({key, key + 1}, [&](const Result<manager::AnchorLink::Kept>&) { answered += 1; });
        link.flush();
        fuzz::Bytes bytes(data, size);
        for (int i = 0; i < 64 && !bytes.empty(); ++i) {
            const std::size_t length = bytes.byte() | static_cast<std::size_t>(bytes.byte()) << 8;
            const std::vector<int> fds(bytes.byte() % 128, spare);
            const std::string_view packet = bytes.take(length);
            (void)kernel::send(pair->second.get(), std::as_bytes(std::span(packet.data(), packet.size())), fds);
            const manager::AnchorLink::News news = link.read();
            fuzz::demand(news.exits.size() <= anchor::kMaxFrameBytes / sizeof(anchor::Exit), "more exits than fit");
            for (const auto& wished : news.wishes) link.took_wish(wished);
            for (const anchor::Exit& exit : news.exits) link.reap(exit.pid);
            link.flush();
        }
        fuzz::demand(answered <= 4, "a question answered twice");
    }
    const int next = ::fcntl(spare, F_DUPFD_CLOEXEC, 0);
    fuzz::demand(next >= 0 && next < 64, "descriptors are lost");
    ::close(next);
    return 0;
}
