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

// The operation as one line of JSON, then the reason.
Status keep(AnchorLink& anchor, const AskedOfRescue& asked) {
    std::string text;
    model::encode(text, asked.operation);
    text += "\n" + asked.refused;
    Result<kernel::Fd> file = kernel::make_memfd("abide-upgrade", text);
    if (!file) return std::unexpected(file.error());
    anchor.put(kAskedOfRescueKey, share(std::move(*file)), true);
    return {};
}

std::optional<AskedOfRescue> asked_of_rescue(AnchorLink& anchor) {
    const Result<AnchorLink::Kept> kept = anchor.get_now({kAskedOfRescueKey});
    if (!kept || !kept->contains(kAskedOfRescueKey)) return std::nullopt;
    const Result<kernel::Fd> own = kernel::reopen(kept->at(kAskedOfRescueKey).get(), O_RDONLY | O_CLOEXEC);
    const Result<std::string> text = own ? kernel::read_all(own->get(), kBytes) : std::unexpected(own.error());
    const std::size_t end = text ? text->find('\n') : std::string::npos;
    if (end == std::string::npos) return std::nullopt;
    auto operation = model::decode<model::Operation>(std::string_view(*text).substr(0, end));
    if (!operation) {
        complain("an upgrade that was asked of a rescue can't be read");
        return std::nullopt;
    }
    return AskedOfRescue{std::move(*operation), text->substr(end + 1)};
}

}  // namespace abide::manager
