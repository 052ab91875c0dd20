// kernel/file_writing.cc -- see file_writing.hpp.
#include "kernel/file_writing.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/cannot.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"

namespace abide::kernel {
namespace {

constexpr long kNothingSaid = 1;  // the child was killed before its call came back

[[noreturn]] ABIDE_RAW void sync_file(void* what) {
    auto* plan = static_cast<FileWriting::Plan*>(what);
    plan->outcome = raw::call(__NR_fsync, plan->fd);
    raw::leave(0);
}

}  // namespace

FileWriting::FileWriting(const std::string& path, Fd fd, std::string temporary)
    : path_(path), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

Result<std::unique_ptr<FileWriting>> FileWriting::begin(const std::string& path, std::string_view content,
                                                        mode_t mode) {
    std::string temporary = path + ".new-" + std::to_string(::getpid());
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return cannot("write", temporary);
    std::unique_ptr<FileWriting> writing(new FileWriting(path, std::move(fd), std::move(temporary)));
    if (Status written = write_all(writing->fd_.get(), content.data(), content.size()); !written)
        return std::unexpected(written.error());
    return writing;
}

void FileWriting::sync_meanwhile() {
    if (child_.runs()) return;
    plan_ = {fd_.get(), kNothingSaid};
    static_cast<void>(child_.start(CLONE_FILES, &sync_file, &plan_));
}

Status FileWriting::sync() {
    if (child_.runs()) {
        child_.wait();
        if (plan_.outcome == 0) return {};
        // What the kernel said of a failed write it says once, so it is not asked again.
        if (plan_.outcome != kNothingSaid) {
            errno = static_cast<int>(-plan_.outcome);
            return cannot("sync", temporary_);
        }
    }
    if (::fsync(fd_.get()) != 0) return cannot("sync", temporary_);
    return {};
}

Status FileWriting::finish() {
    if (Status synced = sync(); !synced) return synced;
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot("replace", path_);
    temporary_.clear();
    return {};
}

FileWriting::~FileWriting() {
    child_.wait();
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode) {
    const auto writing = FileWriting::begin(path, content, mode);
    return writing ? (*writing)->finish() : std::unexpected(writing.error());
}

}  // namespace abide::kernel
