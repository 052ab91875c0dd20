// Any datagram on a notify socket gives a message within its bounds.
#include "protocol/notify.hpp"

#include "base/limits.hpp"
#include "base/text.hpp"
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace abide;
    using fuzz::demand;
    const std::string_view datagram(reinterpret_cast<const char*>(data), size);
    const notify::Message message = notify::parse(datagram);
    if (message.status) demand(message.status->size() <= limits::kStatusBytes, "a status beyond its bound");
    if (message.main_pid) demand(*message.main_pid > 0, "a pid that is none");
    if (message.watchdog_us) demand(*message.watchdog_us >= 0, "a negative period");
    if (message.extend_timeout_us) demand(*message.extend_timeout_us >= 0, "a negative extension");
    if (message.error_number) demand(*message.error_number >= 0 && *message.error_number <= 4095, "no errno");
    demand(message.fd_name.size() <= 255, "a long name of a descriptor");
    for (const char c : message.fd_name) demand(c > ' ' - 1 && c < 127 && c != ':', "a name that is not printable");
    // Lines stand for themselves: one more that says nothing changes nothing.
    if (size > 0 && size + 6 < limits::kNotifyBytes && (datagram.back() == '\n' || datagram.back() == '\0'))
        demand(notify::parse(std::string(datagram) + "X_NO=1") == message, "an unknown line changes a message");
    return 0;
}
