// The event log against bad luck: every byte cut or flipped, a full disk, deleted segments, two writers.  What must
// hold each time: a reader sees every id once, as its event or within a gap, and no id is ever given again.
#include "manager/event_log.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <set>

#include "events/line.hpp"
#include "unit/manager/event_folder.hpp"

namespace abide::manager {
namespace {

using test::EventFolder;

TEST(EventLog, WhatIsWrittenIsSeen) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 3);
    EventFolder::write(log, 4, 4);
    EXPECT_EQ(folder.seen(), "1 2 3 4");
    EXPECT_EQ(folder.seen(2), "3 4");
    EXPECT_EQ(folder.seen(4), "");
    ASSERT_EQ(folder.segments().size(), 1u);
    EXPECT_TRUE(folder.segments().front().ends_with("/00000000000000000001.jsonl"));
    struct stat status{};
    ASSERT_EQ(::stat(folder.segments().front().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
}

// Cut after every byte, as a crash of the machine or a full disk may leave it: a prefix, and then what follows.
TEST(EventLog, CutAtEveryByteItReopensAsAPrefix) {
    EventFolder folder;
    {
        EventLog log = folder.open(0);
        EventFolder::write(log, 1, 4);
    }
    const std::string path = folder.segments().front(), whole = test::slurp(path);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        test::spill(path, whole.substr(0, size));
        const auto kept =
            static_cast<std::uint64_t>(std::count(whole.begin(), whole.begin() + static_cast<long>(size), '\n'));
        {
            EventLog log = folder.open(4);
            EXPECT_EQ(folder.newest, 4u);
            EventFolder::write(log, 5, 5);
        }
        std::string expected;
        for (std::uint64_t id = 1; id <= kept; ++id) expected += std::to_string(id) + " ";
        expected += kept == 4 ? "5" : "[" + std::to_string(kept + 1) + "-4] 5";
        ASSERT_EQ(folder.seen(), expected) << size;
        ASSERT_EQ(folder.seen(0), expected) << size;
    }
}

// Each bit of a log of five lines flipped.  Whatever it hits, a reader sees ids in order and each at most once, misses
// none without a gap, and the next id is a new one.
TEST(EventLog, FlippedAtEveryBitNoIdIsDoubledOrMissedInSilence) {
    EventFolder folder;
    {
        EventLog log = folder.open(0);
        EventFolder::write(log, 1, 5);
    }
    const std::string path = folder.segments().front(), whole = test::slurp(path);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        test::spill(path, flipped);
        {
            EventLog log = folder.open(5);
            ASSERT_EQ(folder.newest % 1'000'000'000, folder.newest) << at;
            EventFolder::write(log, folder.newest + 1, folder.newest + 1);
        }
        events::Options options;
        options.start = events::Start::after;
        auto reader = events::Reader::open(folder.path(), options);
        ASSERT_TRUE(reader);
        std::uint64_t next = 1;
        for (;;) {
            const auto event = reader->next();
            ASSERT_TRUE(event);
            if (!*event) break;
            ASSERT_EQ((*event)->is_gap() ? (*event)->gap_from : (*event)->id, next) << at;
            next = (*event)->id + 1;
        }
        ASSERT_EQ(next, folder.newest + 2) << at;
        if (folder.segments().size() > 1) {
            for (std::size_t i = 1; i < folder.segments().size(); ++i) std::filesystem::remove(folder.segments()[i]);
        }
    }
}

// The manager died between its journal and the log: what it journaled is completed, once.
TEST(EventLog, TheJournalCompletesTheLog) {
    EventFolder folder;
    std::string journaled;
    {
        EventLog log = folder.open(0);
        EventFolder::write(log, 1, 2);
        for (std::uint64_t id = 3; id <= 5; ++id) log.append(EventFolder::event(id));
        journaled = log.fresh();
    }
    {
        EventLog log = folder.open(5, journaled);
        log.flush(kernel::now());
    }
    EXPECT_EQ(folder.seen(), "1 2 3 4 5");
    EventLog again = folder.open(5, journaled);  // and once more: told already
    EventFolder::write(again, 6, 6);
    EXPECT_EQ(folder.seen(), "1 2 3 4 5 6");
}

TEST(EventLog, IdsThatNobodyCanTellOfAreAGap) {
    EventFolder folder;
    {
        EventLog log = folder.open(0);
        EventFolder::write(log, 1, 2);
    }
    EventLog log = folder.open(7);
    EXPECT_EQ(folder.newest, 7u);
    EventFolder::write(log, 8, 8);
    EXPECT_EQ(folder.seen(), "1 2 [3-7] 8");
}

// The log knows of ids that the journal lost: they are not given again.
TEST(EventLog, TheLogMayKnowMoreThanTheJournal) {
    EventFolder folder;
    {
        EventLog log = folder.open(0);
        EventFolder::write(log, 1, 9);
    }
    EventLog log = folder.open(4);
    EXPECT_EQ(folder.newest, 9u);
}

TEST(EventLog, ASecondWriterIsRefusedAndTheFirstGoesOn) {
    EventFolder folder;
    EventLog first = folder.open(0);
    EventFolder::write(first, 1, 2);
    {
        EventLog second = folder.open(2);
        EventFolder::write(second, 3, 3);
        EXPECT_NE(second.next_deadline(), kNever);  // it waits for the lock
    }
    EXPECT_EQ(folder.seen(), "1 2");
    EventFolder::write(first, 3, 4);
    EXPECT_EQ(folder.seen(), "1 2 3 4");
}

// The one that waited takes over where the other one ended.
TEST(EventLog, WhoWaitedForTheLockTellsNothingTwice) {
    EventFolder folder;
    auto first = std::make_unique<EventLog>(folder.open(0));
    EventFolder::write(*first, 1, 2);
    EventLog second = folder.open(2);
    for (std::uint64_t id = 3; id <= 5; ++id) second.append(EventFolder::event(id));
    second.flush(kernel::now());
    EventFolder::write(*first, 3, 4);
    first.reset();
    Now later = kernel::now();
    later.mono = later.mono + seconds(2);
    second.flush(later);
    EXPECT_EQ(folder.seen(), "1 2 3 4 5");
}

TEST(EventLog, ADeletedSegmentIsAGapAndTheLogGoesOn) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 3);
    events::Options options;
    options.start = events::Start::beginning;
    auto follower = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(follower);
    EXPECT_EQ(EventFolder::rest(*follower), "1 2 3");
    std::filesystem::remove(folder.segments().front());
    EventFolder::write(log, 4, 5);
    EXPECT_EQ(folder.seen(), "4 5");
    EXPECT_EQ(folder.seen(1), "[2-3] 4 5");
    EXPECT_EQ(EventFolder::rest(*follower), "4 5");  // it has seen 3: no gap for this one
    std::filesystem::remove_all(folder.path());
    EventFolder::write(log, 6, 6);
    Now later = kernel::now();
    later.mono = later.mono + seconds(2);
    log.flush(later);
    EXPECT_EQ(folder.seen(4), "[5-5] 6");
}

TEST(EventLog, RetentionCutsAndForgetsTheOldest) {
    EventFolder folder;
    model::InstanceSpec spec;
    spec.events.ensure().max_size = 256u << 10;  // in segments of 64 KiB
    EventLog log = folder.open(0, {}, spec);
    events::Options options;
    options.start = events::Start::beginning;
    auto stalled = events::Reader::open(folder.path(), options);
    ASSERT_TRUE(stalled);
    EventFolder::write(log, 1, 1);
    EXPECT_EQ(EventFolder::rest(*stalled), "1");
    for (std::uint64_t id = 2; id <= 8000; id += 10) EventFolder::write(log, id, id + 9);
    std::uint64_t bytes = 0;
    for (const std::string& segment : folder.segments()) bytes += std::filesystem::file_size(segment);
    EXPECT_LE(bytes, (256u + 65u) << 10);
    EXPECT_GT(bytes, 128u << 10);
    const std::uint64_t oldest =
        *events::parse_segment_name(std::filesystem::path(folder.segments().front()).filename().string());
    const std::string gap = "[2-" + std::to_string(oldest - 1) + "] " + std::to_string(oldest) + " ";
    EXPECT_EQ(EventFolder::rest(*stalled).substr(0, gap.size()), gap);
    EXPECT_EQ(folder.seen(1).substr(0, gap.size()), gap);
}

TEST(EventLog, RetentionByAge) {
    EventFolder folder;
    model::InstanceSpec spec;
    spec.events.ensure().max_age = seconds(160);
    EventLog log = folder.open(0, {}, spec);
    Now now = kernel::now();
    for (std::uint64_t id = 1; id <= 30; ++id) {
        log.append(EventFolder::event(id));
        log.flush(now);
        // What was written then was written then.
        const timespec then[2] = {{now.wall.ns / 1'000'000'000, 0}, {now.wall.ns / 1'000'000'000, 0}};
        ::utimensat(AT_FDCWD, folder.segments().back().c_str(), then, 0);
        now.wall.ns += seconds(20).ns;
    }
    EXPECT_LE(folder.segments().size(), 12u);
    EXPECT_GE(folder.segments().size(), 7u);
    EXPECT_TRUE(folder.seen(1).starts_with("[2-"));
    EXPECT_TRUE(folder.seen().ends_with(" 29 30"));
}

// No room for a file to grow: what waits is bounded, then a gap; nobody is stopped.  (setrlimit(2): EFBIG without the
// signal; a file system that is full answers in the same place.)
class FullDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        before_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    }
    void TearDown() override {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, before_handler_);
    }
    void room(std::uint64_t bytes) const {
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    void no_limit() const { ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0); }

  private:
    rlimit before_{};
    sighandler_t before_handler_ = SIG_DFL;
};

TEST_F(FullDisk, EventsWaitAndAreWrittenWhenThereIsRoom) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 2);
    const std::uint64_t size = std::filesystem::file_size(folder.segments().front());
    room(size + size / 2 + 20);  // one more event and a piece of the next one
    EventFolder::write(log, 3, 6);
    EXPECT_NE(log.next_deadline(), kNever);
    EXPECT_EQ(folder.seen(), "1 2 3");  // whole lines stay, the piece is gone
    EventFolder::write(log, 7, 7);
    no_limit();
    Now later = kernel::now();
    later.mono = later.mono + seconds(2);
    log.flush(later);
    EXPECT_EQ(log.next_deadline(), kNever);
    EXPECT_EQ(folder.seen(), "1 2 3 4 5 6 7");
}

TEST_F(FullDisk, BeyondTheBoundTheyBecomeAGap) {
    EventFolder folder;
    EventLog log = folder.open(0);
    EventFolder::write(log, 1, 2);
    room(std::filesystem::file_size(folder.segments().front()));
    std::uint64_t id = 3;
    for (int batch = 0; batch < 400; ++batch, id += 100) EventFolder::write(log, id, id + 99);
    no_limit();
    Now later = kernel::now();
    later.mono = later.mono + seconds(2);
    log.flush(later);
    EventFolder::write(log, id, id);
    const std::string seen = folder.seen();
    EXPECT_TRUE(seen.starts_with("1 2 [3-")) << seen.substr(0, 60);
    EXPECT_TRUE(seen.ends_with(" " + std::to_string(id)));
    EXPECT_LT(std::filesystem::file_size(folder.segments().front()), 2 * kEventBytesWaiting);
}

}  // namespace
}  // namespace abide::manager
