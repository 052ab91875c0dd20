// Sixty-four readers of one log, one of them stalled, some killed while they read: each that lives sees the log
// exactly, and the writer never waits for one.  And readers where the kernel gives no inotify any more.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "kernel/program.hpp"
#include "unit/manager/event_folder.hpp"

namespace abide::manager {
namespace {

using test::EventFolder;

#ifdef __SANITIZE_THREAD__  // each is slower by a factor
constexpr int kReaders = 12, kKilled = 3;
#else
constexpr int kReaders = 64, kKilled = 8;
#endif
constexpr std::uint64_t kEvents = 20'000;

std::uint64_t hash(std::string_view text, std::uint64_t before) {
    for (const char c : text) before = (before ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return before;
}

struct Seen {
    std::uint64_t events = 0, hash = 0, last = 0;
};

// In a process of its own: from the beginning to the last event.
[[noreturn]] void read_all_of_it(const std::string& folder, int result) {
    events::Options options;
    options.start = events::Start::beginning;
    auto reader = events::Reader::open(folder, options);
    Seen seen;
    while (reader && seen.last < kEvents) {
        const auto event = reader->wait(std::chrono::seconds(30));
        if (!event || !*event) break;
        ++seen.events;
        seen.last = (*event)->id;
        seen.hash = hash((*event)->line, seen.hash);
    }
    const bool told = ::write(result, &seen, sizeof seen) == sizeof seen;
    ::_exit(told ? 0 : 1);
}

TEST(EventReaders, EachSeesTheLogExactly) {
    EventFolder folder;
    EventLog log = folder.open(0);
    int results[2];
    ASSERT_EQ(::pipe2(results, O_CLOEXEC), 0);
    std::vector<pid_t> readers;
    for (int i = 0; i < kReaders; ++i) {
        const pid_t pid = ::fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) read_all_of_it(folder.path(), results[1]);
        readers.push_back(pid);
    }
    ::kill(readers.front(), SIGSTOP);
    std::mt19937 random(7);
    std::uint64_t id = 1, expected = 0;
    int killed = 0;
    while (id <= kEvents) {
        const std::uint64_t to = std::min<std::uint64_t>(kEvents, id + random() % 50);
        EventFolder::write(log, id, to);
        id = to + 1;
        if (killed < kKilled && random() % 40 == 0)
            ::kill(readers[readers.size() - 1 - static_cast<std::size_t>(killed++)], SIGKILL);
    }
    for (; killed < kKilled; ++killed) ::kill(readers[readers.size() - 1 - static_cast<std::size_t>(killed)], SIGKILL);
    ::kill(readers.front(), SIGCONT);
    for (const std::string& segment : folder.segments()) {
        const std::string text = test::slurp(segment);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            expected = hash(std::string_view(text).substr(at, end - at), expected);
            at = end + 1;
        }
    }
    for (int i = 0; i < kReaders - kKilled; ++i) {
        Seen seen;
        ASSERT_EQ(::read(results[0], &seen, sizeof seen), static_cast<ssize_t>(sizeof seen));
        EXPECT_EQ(seen.events, kEvents);
        EXPECT_EQ(seen.last, kEvents);
        EXPECT_EQ(seen.hash, expected);
    }
    for (const pid_t pid : readers) ::waitpid(pid, nullptr, 0);
    ::close(results[0]);
    ::close(results[1]);
}

// In a user namespace of its own, which allows no inotify instance: it says so, and sees the events all the same.
TEST(EventReaders, WithoutInotifyTheyLookByTheClockAndSaySo) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 1);
    std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        constexpr int kNoNamespace = 77;
        if (::unshare(CLONE_NEWUSER) != 0) ::_exit(kNoNamespace);
        const int limit = ::open("/proc/sys/user/max_inotify_instances", O_WRONLY | O_CLOEXEC);
        if (limit < 0 || ::write(limit, "0", 1) != 1) ::_exit(kNoNamespace);
        events::Options options;
        options.start = events::Start::now;
        auto reader = events::Reader::open(folder.path(), options);
        if (!reader) ::_exit(2);
        if (reader->polling().find("max_user_instances") == std::string::npos) ::_exit(3);
        if (::write(ready[1], "x", 1) != 1) ::_exit(4);
        const auto event = reader->wait(std::chrono::seconds(20));
        ::_exit(event && *event && (*event)->id == 2 ? 0 : 5);
    }
    ::close(ready[1]);
    char byte = 0;
    const bool began = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    if (began) EventFolder::write(log, 2, 2);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no user namespace can be made here";
    EXPECT_TRUE(began);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(EventReaders, FromNowFromACursorFromATime) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 3);
    auto now = events::Reader::open(folder.path());
    ASSERT_TRUE(now);
    events::Options options;
    options.start = events::Start::ago;
    options.ago = std::chrono::minutes(1);
    auto ago = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(ago);
    EXPECT_EQ(EventFolder::rest(*ago), "1 2 3");
    options.ago = std::chrono::nanoseconds(-1'000'000'000);
    auto future = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(future);
    EventFolder::write(log, 4, 5);
    EXPECT_EQ(EventFolder::rest(*now), "4 5");
    EXPECT_EQ(EventFolder::rest(*future), "4 5");
    EXPECT_EQ(now->cursor().text(), "00000000000000000005@/abide/shop");
    EXPECT_EQ(folder.seen(3), "4 5");
}

TEST(EventReaders, CursorsThatCantBeAreClearErrors) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 3);
    const auto error = [&](events::Cursor cursor) {
        events::Options options;
        options.start = events::Start::after;
        options.after = std::move(cursor);
        const auto reader = events::Reader::open(folder.path(), options);
        EXPECT_FALSE(reader);
        return reader ? events::ErrorCode::unreadable : reader.error().code;
    };
    EXPECT_EQ(error({4, ""}), events::ErrorCode::future_cursor);
    EXPECT_EQ(error({2, "/abide/other"}), events::ErrorCode::other_instance);
    EXPECT_TRUE(events::Cursor::parse("3@/abide/shop"));
    for (const char* text : {"", "x", "-1", "1.5", "3@shop", "999999999999999999999"}) {
        EXPECT_FALSE(events::Cursor::parse(text)) << text;
    }
    events::Options options;
    options.types = {"service.redy"};
    EXPECT_EQ(events::Reader::open(folder.path(), options).error().code, events::ErrorCode::unknown_type);
    options.types = {};
    options.services = {""};
    EXPECT_EQ(events::Reader::open(folder.path(), options).error().code, events::ErrorCode::bad_filter);
}

// The last event of each service, and then what follows: no hole and nothing twice, wherever the snapshot falls.
TEST(EventReaders, SnapshotThenFollow) {
    EventFolder folder;
    EventLog log = folder.open(0);
    log.append(EventFolder::event(1, "db"));
    log.append(EventFolder::event(2, "api"));
    log.append(EventFolder::event(3, "db"));
    log.append(EventFolder::event(4, "", model::EventType::supervisor_recovered));
    log.flush(kernel::now());
    events::Options options;
    options.snapshot = true;
    auto reader = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(reader);
    EventFolder::write(log, 5, 6);
    EXPECT_EQ(EventFolder::rest(*reader), "2 3 5 6");
    options.services = {"d*"};
    auto filtered = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(filtered);
    EXPECT_EQ(EventFolder::rest(*filtered), "3");
}

// A reader may come before the folder and the doorbell do.
TEST(EventReaders, AReaderMayBeFirst) {
    EventFolder folder;
    auto reader = events::Reader::open(folder.path());
    ASSERT_TRUE(reader);
    EXPECT_EQ(EventFolder::rest(*reader), "");
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 2);
    const auto event = reader->wait(std::chrono::seconds(5));
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->id, 1u);
    EXPECT_EQ(EventFolder::rest(*reader), "2");
    EXPECT_EQ(reader->polling(), "");
}

// Somebody removes the doorbell: the writer makes a new one with its next event, and the reader finds that.
TEST(EventReaders, ADeletedDoorbellIsFoundAgain) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 1);
    auto reader = events::Reader::open(folder.path());
    ASSERT_TRUE(reader);
    std::filesystem::remove(folder.path() + "/doorbell");
    for (std::uint64_t id = 2; id <= 5; ++id) {
        EventFolder::write(log, id, id);
        const Mono begin = kernel::mono_now();
        const auto event = reader->wait(std::chrono::seconds(5));
        ASSERT_TRUE(event && *event);
        EXPECT_EQ((*event)->id, id);
        EXPECT_LT((kernel::mono_now() - begin).ns, seconds(1).ns);  // not by the clock
        EXPECT_FALSE(*reader->wait(std::chrono::milliseconds(1)));
    }
    // At rest it is not woken all the time.
    int woken = 0;
    for (int i = 0; i < 5; ++i) {
        const int fd = reader->fd();
        if (*kernel::wait_readable({&fd, 1}, kernel::mono_now() + milliseconds(20))) ++woken;
        EXPECT_FALSE(*reader->next());
    }
    EXPECT_LE(woken, 1);
}

}  // namespace
}  // namespace abide::manager
