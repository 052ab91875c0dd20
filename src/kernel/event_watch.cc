// kernel/event_watch.cc -- see the header.
#include "kernel/event_watch.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace abide::kernel {

Result<EventWatch> EventWatch::create(std::string folder, std::string file) {
    EventWatch out;
    out.path_ = folder + "/" + file;
    out.folder_ = std::move(folder);
    out.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!out.epoll_) return fail_errno(errno, "epoll");
    out.timer_ = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!out.timer_) return fail_errno(errno, "timerfd");
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(out.epoll_.get(), EPOLL_CTL_ADD, out.timer_.get(), &event) != 0) return fail_errno(errno, "epoll");
    out.inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!out.inotify_) {
        // inotify(7): EMFILE beyond max_user_instances.
        out.polling_ = errno == EMFILE ? "this user's inotify instances are used up (fs.inotify.max_user_instances)"
                                       : "inotify can't be had";
        out.set_timer(kSlow);
        return out;
    }
    if (::epoll_ctl(out.epoll_.get(), EPOLL_CTL_ADD, out.inotify_.get(), &event) != 0)
        return fail_errno(errno, "epoll");
    out.watch();
    return out;
}

// The file, or the folder until the file comes, or nothing until the folder comes.
void EventWatch::watch() {
    // Of a file that somebody holds open only IN_ATTRIB tells that its name was removed.
    constexpr std::uint32_t kFile = IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
    constexpr std::uint32_t kFolder = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR;
    if (watched_ != Watched::nothing) ::inotify_rm_watch(inotify_.get(), number_);
    watched_ = Watched::nothing;
    polling_.clear();
    number_ = ::inotify_add_watch(inotify_.get(), path_.c_str(), kFile);
    if (number_ >= 0) {
        watched_ = Watched::file;
    } else if (errno == ENOENT) {
        number_ = ::inotify_add_watch(inotify_.get(), folder_.c_str(), kFolder);
        if (number_ >= 0) watched_ = Watched::folder;
    }
    if (watched_ == Watched::nothing) {
        polling_ = errno == ENOSPC ? "this user's inotify watches are used up (fs.inotify.max_user_watches)"
                                   : "the doorbell can't be watched: " + std::string(::strerrordesc_np(errno));
    }
    set_timer(watched_ == Watched::nothing ? kSlow : kSafety);
}

void EventWatch::set_timer(Duration every) {
    itimerspec spec{};
    spec.it_interval = {every.ns / 1'000'000'000, every.ns % 1'000'000'000};
    spec.it_value = spec.it_interval;
    ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

void EventWatch::drain() {
    std::uint64_t ticks = 0;
    static_cast<void>(read_some(timer_.get(), &ticks, sizeof ticks));
    if (!inotify_) return;
    alignas(inotify_event) char buffer[4096];
    bool again = watched_ == Watched::nothing;
    for (;;) {
        const Result<std::size_t> n = read_some(inotify_.get(), buffer, sizeof buffer);
        if (!n || *n == kNothingNow || *n == 0) break;
        for (std::size_t at = 0; at + sizeof(inotify_event) <= *n;) {
            inotify_event event{};
            std::memcpy(&event, buffer + at, sizeof event);
            at += sizeof event + event.len;
            // After IN_Q_OVERFLOW anything may have happened; the reader looks at everything in any case, and since
            // equal neighbours are one event, what fills a queue has an IN_ATTRIB in it, upon which the watch is made
            // anew. The removal of an earlier watch is told as well, and means nothing.
            if (event.wd != number_) continue;
            again = again || watched_ == Watched::folder ||
                    (event.mask & (IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
        }
    }
    if (again) watch();
}

Result<OpenFileStatus> open_file_status(int fd) {
    struct stat st{};
    if (::fstat(fd, &st) != 0) return fail_errno(errno, "fstat");
    return OpenFileStatus{static_cast<std::uint64_t>(st.st_size), static_cast<std::uint64_t>(st.st_nlink)};
}

Status set_group_and_mode(int fd, std::uint32_t group, unsigned mode) {
    if (::fchmod(fd, static_cast<mode_t>(mode)) != 0) return fail_errno(errno, "fchmod");
    if (group != kNoGroup && ::fchown(fd, static_cast<uid_t>(-1), group) != 0) return fail_errno(errno, "fchown");
    return {};
}

Status ring(int fd) {
    for (;;) {
        if (::pwrite(fd, "\n", 1, 0) == 1) return {};
        if (errno != EINTR) return fail_errno(errno, "ring");
    }
}

}  // namespace abide::kernel
