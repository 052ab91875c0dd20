// Reading: last lines, lines since a time, following -- each line once, in order, across rotation and compression.
#include "logger/read.hpp"

#include <thread>

#include "fixture.hpp"
#include "kernel/clock.hpp"
#include "logger/line_file.hpp"

namespace abide::logger {
namespace {

using testing::Bench;
using testing::kSecond;
using testing::kStart;
using testing::Pen;

model::LogSpec small_files(bool compress) {
    model::LogSpec spec;
    spec.max_size = 64u << 10;
    spec.keep = 1000;
    spec.compress = compress;
    return spec;
}

void write_numbers(Pen& pen, int from, int to) {
    for (int i = from; i < to; ++i) {
        pen.pass(1'000'000);
        pen.write(std::to_string(i) + " is a line\n");
    }
}

int number(const LogLine& line) {
    return std::stoi(line.text);
}

void expect_numbers(const std::vector<LogLine>& lines, int from, int to) {
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(to - from));
    for (const LogLine& line : lines) ASSERT_EQ(number(line), from++);
}

std::vector<LogLine> all_since(LogReader& reader, std::int64_t ns) {
    std::vector<LogLine> lines;
    EXPECT_TRUE(reader.since({ns}, [&](LogLine&& line) {
        lines.push_back(std::move(line));
        return true;
    }));
    return lines;
}

// In the past, since what is newer than the call is left to more().
std::int64_t past() {
    return kernel::now().wall.ns - 100'000 * kSecond;
}

class Reading : public ::testing::TestWithParam<bool> {
  protected:
    void fill(int count) {
        pen.now.wall_ns = begin = past();
        write_numbers(pen, 0, count);
        if (GetParam()) bench.compress_all();
    }
    Bench bench;
    Pen pen = bench.pen("db", small_files(GetParam()));
    std::int64_t begin = 0;
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {}));
};

TEST_P(Reading, TailAcrossFiles) {
    fill(8000);
    ASSERT_GT(testing::names_in(bench.folder.file("db")).size(), 4u);
    for (const int n : {0, 1, 2, 100, 1500, 3000, 7999, 8000})
        expect_numbers(*reader.tail(static_cast<std::size_t>(n)), 8000 - n, 8000);
    expect_numbers(*reader.tail(100'000), 0, 8000);
}

TEST_P(Reading, SinceAcrossFiles) {
    fill(8000);
    for (const int first : {0, 1, 700, 1500, 2999, 6000, 7998, 7999, 8000})
        expect_numbers(all_since(reader, begin + (first + 1) * 1'000'000LL), first, 8000);
    expect_numbers(all_since(reader, 0), 0, 8000);
    expect_numbers(all_since(reader, begin + 5000 * 1'000'000LL + 500), 5000, 8000);
}

TEST_P(Reading, MoreGoesOnAfterTailWhateverHappensToTheFiles) {
    fill(100);
    expect_numbers(*reader.tail(10), 90, 100);
    EXPECT_TRUE(reader.more()->empty());
    int read = 100, written = 100;
    for (const int step : {1, 10, 3000, 1, 5000, 40, 2500}) {
        write_numbers(pen, written, written + step);
        written += step;
        if (GetParam()) bench.compress_all();
        std::vector<LogLine> lines;
        do {
            const auto more = reader.more();
            ASSERT_TRUE(more);
            lines.insert(lines.end(), more->begin(), more->end());
        } while (!reader.at_end());
        expect_numbers(lines, read, written);
        read = written;
    }
}

INSTANTIATE_TEST_SUITE_P(PlainAndCompressed, Reading, ::testing::Bool());

TEST(Read, AnIncompleteLineComesWhenItIsWhole) {
    Bench bench;
    Pen pen = bench.pen("db");
    pen.write("one\ntw");
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {"db"}));
    ASSERT_EQ(reader.tail(5)->size(), 1u);
    EXPECT_TRUE(reader.more()->empty());
    pen.write("o\nthree\n");
    const auto more = reader.more();
    ASSERT_EQ(more->size(), 2u);
    EXPECT_EQ((*more)[0].text, "two");
}

TEST(Read, SeveralServicesByTime) {
    Bench bench;
    Pen a = bench.pen("a"), b = bench.pen("shop/b@1"), c = bench.pen("c");
    for (int i = 0; i < 100; ++i) {
        Pen& pen = i % 3 == 0 ? a : i % 3 == 1 ? b : c;
        pen.now.wall_ns = kStart + i * kSecond;
        pen.write(std::to_string(i) + "\n");
    }
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {}));
    expect_numbers(*reader.tail(50), 50, 100);
    EXPECT_EQ(reader.tail(1)->at(0).service, "a");
    EXPECT_EQ(*reader.known_services(), (std::vector<std::string>{"a", "c", "shop/b@1"}));
    LogReader one = std::move(*LogReader::open(bench.folder.path(), {"shop/b@1", "missing"}));
    const auto lines = one.tail(3);
    ASSERT_EQ(lines->size(), 3u);
    EXPECT_EQ(lines->at(2).text, "97");
    EXPECT_EQ(lines->at(2).time.ns, kStart + 97 * kSecond);
}

TEST(Read, FollowSeesServicesThatComeLater) {
    Bench bench;
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {}));
    EXPECT_TRUE(reader.tail(10)->empty());
    EXPECT_GE(reader.watch_fd(), 0);
    EXPECT_TRUE(reader.more()->empty());
    EXPECT_FALSE(*reader.wait(milliseconds(1)));
    Pen pen = bench.pen("late");
    pen.write("hello\n");
    ASSERT_TRUE(*reader.wait(seconds(5)));
    auto more = reader.more();
    if (more->empty()) more = reader.more();
    ASSERT_EQ(more->size(), 1u);
    EXPECT_EQ(more->at(0).service, "late");
    while (!reader.at_end()) EXPECT_TRUE(reader.more()->empty());
    EXPECT_FALSE(*reader.wait(milliseconds(1)));
    pen.write("again\n");
    ASSERT_TRUE(*reader.wait(seconds(5)));
    EXPECT_EQ(reader.more()->size(), 1u);
}

// A writer that rotates all the time beside a reader that follows.
TEST(Read, FollowBesideAWriterThatRotates) {
    Bench bench;
    Pen pen = bench.pen("db", small_files(true));
    pen.now.wall_ns = past();
    constexpr int kLines = 30'000;
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {"db"}));
    EXPECT_TRUE(reader.tail(10)->empty());
    std::thread writer([&] {
        for (int i = 0; i < kLines; i += 100) {
            write_numbers(pen, i, i + 100);
            bench.compressor.step();
        }
        bench.compress_all();
    });
    int next = 0;
    for (int rounds = 0; next < kLines && rounds < 100'000; ++rounds) {
        const auto more = reader.more();
        if (!more) {
            ADD_FAILURE() << more.error().what;
            break;
        }
        for (const LogLine& line : *more) {
            if (number(line) != next) ADD_FAILURE() << "line " << next << " expected, " << line.text << " read";
            next = number(line) + 1;
        }
        if (more->empty()) (void)reader.wait(milliseconds(100));
    }
    writer.join();
    EXPECT_EQ(next, kLines);
    EXPECT_GT(testing::names_in(bench.folder.file("db")).size(), 10u);
}

TEST(Read, ForeignContentDoesNoHarm) {
    Bench bench;
    std::string garbage("\0\n\n\xff\xfe no head\n2020-11-21T09:00:00.000000000Z ok\n2020-11-21T09:00:00.0000", 70);
    testing::spill(bench.folder.file("db/current"), garbage);
    testing::spill(bench.folder.file("db/@2020-11-21T08:00:00.000000000Z.log.gz"), "this is no gzip");
    std::filesystem::create_symlink("/etc/passwd", bench.folder.file("db/@2020-11-21T07:00:00.000000000Z.log"));
    LogReader reader = std::move(*LogReader::open(bench.folder.path(), {}));
    ASSERT_TRUE(reader.tail(100));
    const auto all = reader.tail(100);
    for (const LogLine& line : *all) EXPECT_EQ(line.text.find("root:"), std::string::npos);
    const auto lines = all_since(reader, *parse_stamp("2020-11-21T09:00:00.000000000Z"));
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines[0].text, "ok");
    EXPECT_FALSE(LogReader::open(bench.folder.file("nowhere"), {}));
    EXPECT_EQ(LogReader::open(bench.folder.file("nowhere"), {}).error().kind, ErrorKind::not_found);
}

TEST(Read, FindSinceAgreesWithLookingAtEveryLine) {
    testing::Folder folder;
    std::string text;
    std::vector<std::pair<std::int64_t, std::uint64_t>> lines;
    Stamp stamp;
    for (int i = 0; i < 3000; ++i) {
        const std::int64_t ns = kStart + i / 3 * 10;
        lines.emplace_back(ns, text.size());
        text += std::string(stamp.text(ns)) + " " + std::string(static_cast<std::size_t>(i * 37 % 200), 'x') + "\n";
    }
    testing::spill(folder.file("f"), text);
    kernel::Fd fd = std::move(*kernel::open_file(folder.file("f"), O_RDONLY | O_CLOEXEC));
    for (std::int64_t ns = kStart - 5; ns < kStart + 10'020; ns += 5) {
        const auto expected =
            std::find_if(lines.begin(), lines.end(), [&](const auto& line) { return line.first >= ns; });
        ASSERT_EQ(*find_since(fd.get(), text.size(), ns), expected == lines.end() ? text.size() : expected->second)
            << ns - kStart;
    }
}

}  // namespace
}  // namespace abide::logger
