// manager/rescue_upgrade.cc -- see the header.
#include "manager/rescue_upgrade.hpp"

#include <fcntl.h>

#include "kernel/files.hpp"
#include "manager/complain.hpp"
#include "model/codec.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kBytes = 1u << 20;

}  // namespace

// A line of JSON each.
Status keep(AnchorLink& anchor, const std::vector<model::RescueUpgrade>& asked) {
    std::string text;
    for (const model::RescueUpgrade& one : asked) {
        model::encode(text, one);
        text += '\n';
    }
    Result<kernel::Fd> file = kernel::make_memfd("abide-upgrade", text);
    if (!file) return std::unexpected(file.error());
    anchor.put(kAskedOfRescueKey, share(std::move(*file)), true);
    return {};
}

std::vector<model::RescueUpgrade> asked_of_rescue(AnchorLink& anchor) {
    const Result<AnchorLink::Kept> kept = anchor.get_now({kAskedOfRescueKey});
    if (!kept || !kept->contains(kAskedOfRescueKey)) return {};
    const Result<kernel::Fd> own = kernel::reopen(kept->at(kAskedOfRescueKey).get(), O_RDONLY | O_CLOEXEC);
    const Result<std::string> text = own ? kernel::read_all(own->get(), kBytes) : std::unexpected(own.error());
    std::vector<model::RescueUpgrade> asked;
    for (std::string_view rest = text ? std::string_view(*text) : std::string_view(); !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (auto one = model::decode<model::RescueUpgrade>(line); one && one->operation.id.value != 0)
            asked.push_back(std::move(*one));
        else
            complain("an upgrade that was asked of a rescue can't be read");
    }
    return asked;
}

}  // namespace abide::manager
