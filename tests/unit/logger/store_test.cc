// The files themselves: what is in them after restarts, rotations, full disks and planted names.
#include <sys/mount.h>

#include "fixture.hpp"
#include "kernel/log_files.hpp"
#include "logger/line_file.hpp"

namespace abide::logger {
namespace {

using testing::Bench;
using testing::kSecond;
using testing::kStart;
using testing::Pen;
using Texts = std::vector<std::string>;

TEST(Store, LinesCarryTheirTime) {
    Bench bench;
    Pen pen = bench.pen("db");
    pen.write("one\ntwo");
    EXPECT_EQ(testing::slurp(bench.folder.file("db/current")),
              "2026-11-21T09:00:00.000000000Z one\n2026-11-21T09:00:00.000000000Z two");
    pen.pass(kSecond);
    pen.write(" and a half\nthree\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"one", "two and a half", "three"}));
    struct stat st{};
    ASSERT_EQ(::stat(bench.folder.file("db/current").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777 & ~0640u, 0u);
}

TEST(Store, AnUnfinishedLineIsEndedAtTheEndOfThePipe) {
    Bench bench;
    Pen pen = bench.pen("db");
    pen.write("no newline");
    pen.end();
    pen.write("next\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"no newline", "next"}));
}

TEST(Store, TwoRunsDontMixWithinALine) {
    Bench bench;
    Pen old_run = bench.pen("db"), new_run = bench.pen("db");
    old_run.write("old begins ");
    new_run.write("new\n");
    old_run.write("old ends\n");
    new_run.write("new again\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")),
              (Texts{"old begins ", "new", "+old ends", "new again"}));
}

TEST(Store, ALoggerThatComesBackGoesOnWithinTheLine) {
    Bench bench;
    {
        Pen pen = bench.pen("db");
        pen.write("first\nthe lo");
    }
    Store second(bench.compressor);
    second.set_directory(bench.folder.open());
    Pen pen{second, *second.acquire("db", {}), 9};
    pen.resumed = true;
    pen.write("ng line\nlast\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"first", "the long line", "last"}));
}

TEST(Store, ANewPipeDoesNotContinueAnOldLine) {
    Bench bench;
    testing::spill(bench.folder.file("db/current"), "2026-11-21T08:00:00.000000000Z torn by a power c");
    testing::spill(bench.folder.file("web/current"), "2026-11-21T08:00:00.000000000Z whole\n2026-11-2");
    Pen db = bench.pen("db"), web = bench.pen("web");
    db.write("fresh\n");
    web.resumed = true;  // but the head itself is torn
    web.write("fresh\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"torn by a power c", "fresh"}));
    EXPECT_EQ(testing::texts_of(bench.folder.file("web/current")), (Texts{"whole", "no head: 2026-11-2", "fresh"}));
}

TEST(Store, RotatesBySizeAndKeepsSome) {
    Bench bench;
    model::LogSpec spec;
    spec.max_size = 64u << 10;
    spec.keep = 3;
    spec.compress = false;
    Pen pen = bench.pen("db", spec);
    int written = 0;
    for (; written < 10'000; ++written) {
        pen.pass(1000);
        pen.write(std::to_string(written) + " is a line of this log\n");
    }
    const Texts names = testing::names_in(bench.folder.file("db"));
    ASSERT_EQ(names.size(), 4u);
    EXPECT_EQ(names[3], "current");
    int next = -1;
    for (const std::string& name : names) {
        const std::string path = bench.folder.file("db/" + name);
        EXPECT_LE(std::filesystem::file_size(path), spec.max_size);
        const std::string expected = "@" + testing::slurp(path).substr(0, kStampBytes) + ".log";
        EXPECT_EQ(name, name == "current" ? name : expected);
        for (const std::string& text : testing::texts_of(path)) {
            const int number = std::stoi(text);
            ASSERT_TRUE(next < 0 || number == next) << number;
            next = number + 1;
        }
    }
    EXPECT_EQ(next, written);
}

TEST(Store, ManyRotationsWithinOneChunkHaveDifferentNames) {
    Bench bench;
    model::LogSpec spec;
    spec.max_size = 1;  // taken as the smallest
    spec.keep = 100;
    spec.compress = false;
    Pen pen = bench.pen("db", spec);
    pen.write(std::string(60'000, '\n'));
    pen.write(std::string(60'000, '\n'));
    std::size_t lines = 0;
    for (const std::string& name : testing::names_in(bench.folder.file("db")))
        lines += testing::texts_of(bench.folder.file("db/" + name)).size();
    EXPECT_EQ(lines, 120'000u);
    EXPECT_GT(testing::names_in(bench.folder.file("db")).size(), 50u);
}

TEST(Store, RotatesByAgeAndWhenTheClockIsSetBack) {
    Bench bench;
    model::LogSpec spec;
    spec.max_age = seconds(3600);
    spec.compress = false;
    Pen pen = bench.pen("db", spec);
    pen.write("a\n");
    pen.pass(3599 * kSecond);
    pen.write("b\n");
    pen.pass(2 * kSecond);
    pen.write("c\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"c"}));
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/" + rotated_name(kStart))), (Texts{"a", "b"}));
    pen.now.wall_ns -= kSecond / 2;  // slewed: clamped
    pen.write("d\n");
    pen.now.wall_ns -= 7200 * kSecond;  // set back: a new file
    pen.write("e\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"e"}));
    std::int64_t last = 0;
    for (const std::string& line :
         testing::lines_of(testing::slurp(bench.folder.file("db/" + rotated_name(kStart + 3601 * kSecond))))) {
        EXPECT_GE(parse_head(line)->wall_ns, last);
        last = parse_head(line)->wall_ns;
    }
}

TEST(Store, AnotherNameOrNoNameForTheFileIsNoticed) {
    Bench bench;
    Pen pen = bench.pen("db");
    pen.write("a\n");
    std::filesystem::rename(bench.folder.file("db/current"), bench.folder.file("db/moved"));
    pen.pass(kSecond);
    pen.write("b\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"b"}));
    std::filesystem::remove_all(bench.folder.file("db"));
    pen.pass(kSecond);
    pen.write("c\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"c"}));
    std::filesystem::resize_file(bench.folder.file("db/current"), 0);
    pen.pass(kSecond);
    pen.write("d\n");
    EXPECT_EQ(testing::texts_of(bench.folder.file("db/current")), (Texts{"d"}));
}

TEST(Store, CompressedOldFilesHoldTheSame) {
    Bench bench;
    model::LogSpec spec;
    spec.max_size = 64u << 10;
    spec.keep = 9;
    Pen pen = bench.pen("db", spec);
    for (int i = 0; i < 3000; ++i) {
        pen.pass(1000);
        pen.write(std::to_string(i) + " is a line of this log\n");
    }
    const Texts before = testing::names_in(bench.folder.file("db"));
    ASSERT_GE(before.size(), 3u);
    const std::string plain = testing::slurp(bench.folder.file("db/" + before[0]));
    bench.compress_all();
    const Texts after = testing::names_in(bench.folder.file("db"));
    ASSERT_EQ(after.size(), before.size());
    EXPECT_EQ(after[0], before[0] + ".gz");
    LineFile file(std::move(*kernel::open_file(bench.folder.file("db/" + after[0]), O_RDONLY | O_CLOEXEC)), true);
    std::string again;
    std::string_view line;
    while (*file.next(line)) again += std::string(line) + "\n";
    EXPECT_EQ(again, plain);
    EXPECT_LT(std::filesystem::file_size(bench.folder.file("db/" + after[0])), plain.size() / 3);
}

// Whatever lies where our file should be is neither written nor followed, and the service is told to be in trouble.
TEST(Store, PlantedNamesAreRefused) {
    Bench bench;
    const std::string victim = bench.folder.file("victim");
    testing::spill(victim, "precious");
    const auto plant = [&](const std::string& name) { std::filesystem::create_directory(bench.folder.file(name)); };
    for (const char* name : {"link", "hard", "fifo", "dir"}) plant(name);
    std::filesystem::create_symlink(victim, bench.folder.file("link/current"));
    std::filesystem::create_hard_link(victim, bench.folder.file("hard/current"));
    ASSERT_EQ(::mkfifo(bench.folder.file("fifo/current").c_str(), 0600), 0);
    plant("dir/current");
    std::filesystem::create_directory_symlink("/tmp", bench.folder.file("linkdir"));
    plant("open");
    ::chmod(bench.folder.file("open").c_str(), 0777);
    for (const char* name : {"link", "hard", "fifo", "dir", "linkdir", "open"}) {
        Pen pen = bench.pen(name);
        pen.write("attack\n");
        const std::vector<StoreReport> reports = bench.store.take_reports();
        ASSERT_EQ(reports.size(), 1u) << name;
        EXPECT_NE(reports[0].err, 0) << name;
        EXPECT_EQ(reports[0].service, pen.service);
    }
    EXPECT_EQ(testing::slurp(victim), "precious");
    EXPECT_FALSE(std::filesystem::exists("/tmp/current"));
}

TEST(Store, AfterTroubleTheFileSaysWhatIsMissing) {
    Bench bench;
    std::filesystem::create_directory_symlink("/tmp", bench.folder.file("db"));
    Pen pen = bench.pen("db");
    pen.write("lost one\nlost two\nlost");
    EXPECT_EQ(bench.store.take_reports().size(), 1u);
    pen.write(" three\n");
    std::filesystem::remove(bench.folder.file("db"));
    pen.write("too early\n");
    EXPECT_FALSE(std::filesystem::exists(bench.folder.file("db"))) << "tried again once a second only";
    pen.pass(2 * kSecond);
    pen.write("kept\n");
    const Texts texts = testing::texts_of(bench.folder.file("db/current"));
    ASSERT_EQ(texts.size(), 2u);
    EXPECT_EQ(texts[0].find("abide: 39 bytes of output in 4 lines were lost"), 0u) << texts[0];
    EXPECT_EQ(texts[1], "kept");
    const std::vector<StoreReport> reports = bench.store.take_reports();
    ASSERT_EQ(reports.size(), 2u);
    EXPECT_TRUE(reports[0].is_drop);
    EXPECT_EQ(reports[0].bytes, 39u);
    EXPECT_EQ(reports[0].lines, 4u);
    EXPECT_EQ(reports[1].err, 0);
}

TEST(Store, AFullDiskLosesOnlyWhatIsCounted) {
    Bench bench;
    const std::string disk = bench.folder.file("disk");
    std::filesystem::create_directory(disk);
    if (::mount("none", disk.c_str(), "tmpfs", 0, "size=256k,mode=0755") != 0) GTEST_SKIP() << "no mount here";
    {
        bench.store.set_directory(std::move(*kernel::open_directory(disk)));
        Pen pen = bench.pen("db");
        std::uint64_t bytes = 0;
        const std::string line(99, 'x');
        for (int i = 0; i < 5000; ++i) {
            pen.pass(100'000);
            pen.write(line + "\n");
            bytes += 100;
        }
        std::vector<StoreReport> reports = bench.store.take_reports();
        ASSERT_EQ(reports.size(), 1u) << "told once, not for each line";
        EXPECT_EQ(reports[0].err, ENOSPC);
        // Room again.
        bench.store.set_directory({});
        std::filesystem::resize_file(disk + "/db/current", 64u << 10);
        bench.store.set_directory(std::move(*kernel::open_directory(disk)));
        pen.pass(2 * kSecond);
        pen.write("back\n");
        const Texts texts = testing::texts_of(disk + "/db/current");
        EXPECT_EQ(texts.back(), "back");
        reports = bench.store.take_reports();
        ASSERT_EQ(reports.size(), 2u);
        EXPECT_GT(reports[0].bytes, 200'000u);
        EXPECT_LT(reports[0].bytes, bytes);
        EXPECT_NE(texts[texts.size() - 2].find(std::to_string(reports[0].bytes) + " bytes"), std::string::npos);
        bench.store.set_directory({});
    }
    EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

TEST(Store, ManyServicesFewOpenFiles) {
    Bench bench;
    std::vector<Pen> pens;
    for (int i = 0; i < 400; ++i) pens.push_back(bench.pen("service" + std::to_string(i)));
    for (int round = 0; round < 3; ++round)
        for (Pen& pen : pens) pen.write(round == 1 ? "tw" : round == 0 ? "one\n" : "o\n");
    for (int i = 0; i < 400; ++i)
        EXPECT_EQ(testing::texts_of(bench.folder.file("service" + std::to_string(i) + "/current")),
                  (Texts{"one", "two"}));
    EXPECT_LT(testing::names_in("/proc/self/fd").size(), 2 * Store::kOpenFiles + 32);
}

}  // namespace
}  // namespace abide::logger
