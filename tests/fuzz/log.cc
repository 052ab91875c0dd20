// The messages between manager and logger: any packet is a message or none, and a message is the same after another
// trip.
#include "protocol/log.hpp"

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace abide;
    using namespace abide::protocol;
    const std::string_view packet(reinterpret_cast<const char*>(data), size);
    if (const auto message = log::decode_to_logger(packet);
        message && !std::holds_alternative<log::Unknown>(*message)) {
        const auto again = log::decode_to_logger(log::encode(*message));
        fuzz::demand(again && *again == *message, "a message to the logger changes on its way");
    }
    if (const auto message = log::decode_to_manager(packet);
        message && !std::holds_alternative<log::Unknown>(*message)) {
        const auto again = log::decode_to_manager(log::encode(*message));
        fuzz::demand(again && *again == *message, "a message to the manager changes on its way");
    }
    return 0;
}
