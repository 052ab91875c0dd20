// manager/mirror.cc -- see the header.
#include "manager/mirror.hpp"

#include "kernel/files.hpp"
#include "manager/complain.hpp"
#include "protocol/anchor.hpp"

namespace abide::manager {

void Mirror::replace(std::string_view image) {
    if (!directory_) return;
    auto made = kernel::replace_beneath(directory_.get(), anchor::kMirrorName, image);
    if (!made) return lose(made.error());
    file_ = std::move(*made);
}

void Mirror::append(std::string_view batch) {
    if (!file_) return;
    const auto written = kernel::write_some(file_.get(), batch.data(), batch.size());
    if (!written) return lose(written.error());
    if (*written != batch.size()) lose({ErrorKind::failed, "no room", 0, {}});
}

void Mirror::remove() {
    file_.reset();
    if (directory_) static_cast<void>(kernel::unlink_beneath(directory_.get(), anchor::kMirrorName));
}

// The next compaction tries again.
void Mirror::lose(const Error& why) {
    remove();
    if (!std::exchange(complained_, true)) complain("the mirror of the journal: " + describe(why));
}

}  // namespace abide::manager
