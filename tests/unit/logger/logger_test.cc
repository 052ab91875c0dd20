// The process as the manager sees it: real pipes, a real descriptor pair, the loop in a thread.
#include "logger/logger.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "fixture.hpp"
#include "kernel/clock.hpp"
#include "kernel/log_files.hpp"
#include "kernel/socket.hpp"
#include "kernel/wake.hpp"

namespace abide::logger {
namespace {

namespace wire = protocol::log;
using Texts = std::vector<std::string>;

// A logger and its manager's end.
class Running {
  public:
    explicit Running(const std::string& directory, bool configured = true) {
        auto pair = kernel::make_socket_pair();
        EXPECT_TRUE(pair);
        manager_ = std::move(pair->first);
        auto output = kernel::make_pipe();
        output_ = std::move(output->read);
        output_write_ = std::move(output->write);
        logger_ = std::move(*Logger::create(std::move(pair->second), output_write_.get()));
        thread_ = std::thread([this] {
            const Status ran = logger_->run();
            EXPECT_TRUE(ran);
            done_ = true;
        });
        if (!configured) return;
        const kernel::Fd folder = std::move(*kernel::open_directory(directory));
        send(wire::Configure{}, {folder.get()});
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
        manager_.reset();
        pens_.clear();
        thread_.join();
    }

    void send(const wire::ToLogger& message, std::vector<int> fds = {}) {
        send_raw(wire::encode(message), std::move(fds));
    }
    void send_raw(const std::string& packet, std::vector<int> fds = {}) {
        for (int i = 0; i < 5000; ++i) {
            const auto sent = kernel::send(manager_.get(), std::as_bytes(std::span(packet)), fds);
            ASSERT_TRUE(sent) << sent.error().what;
            if (*sent) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the logger is behind
        }
        ADD_FAILURE() << "the logger doesn't read";
    }
    // Opens a pipe and keeps its write end.
    int open(std::uint64_t key, const std::string& service, model::LogSpec spec = {}, bool resumed = false) {
        auto pipe = kernel::make_pipe();
        send(wire::Open{{{key, key + 100, service, spec, resumed}}}, {pipe->read.get()});
        pens_.emplace_back(key, std::move(pipe->write));
        return pens_.back().second.get();
    }
    void hang_up(std::uint64_t key) {
        std::erase_if(pens_, [key](const auto& pen) { return pen.first == key; });
    }
    // The next message of the logger; nullopt after five seconds.
    std::optional<wire::ToManager> receive() {
        std::vector<std::byte> buffer(wire::kMessageBytes);
        if (!*kernel::wait_readable(manager_.get(), seconds(5))) return std::nullopt;
        const auto got = kernel::receive(manager_.get(), buffer);
        if (!got || got->size == 0) return std::nullopt;
        return wire::decode_to_manager({reinterpret_cast<const char*>(buffer.data()), got->size});
    }
    template <class Message>
    Message expect() {
        for (int i = 0; i < 1000; ++i) {
            const auto message = receive();
            if (!message) break;
            if (const auto* wanted = std::get_if<Message>(&*message)) return *wanted;
        }
        ADD_FAILURE() << "the logger didn't say it";
        return {};
    }
    // Everything written so far is in the file then.
    void close_and_wait(std::uint64_t key) {
        send(wire::Close{{key}});
        for (;;) {
            const auto drained = expect<wire::Drained>();
            if (drained.key == 0 || (drained.key == key && drained.final_)) break;
        }
    }
    std::string output() {
        std::string text(1u << 16, '\0');
        if (!*kernel::wait_readable(output_.get(), seconds(5))) return {};
        text.resize(*kernel::read_some(output_.get(), text.data(), text.size()));
        return text;
    }
    void leave() { manager_.reset(); }
    [[nodiscard]] bool done() const { return done_; }
    Logger& logger() { return *logger_; }

  private:
    kernel::Fd manager_, output_, output_write_;
    std::unique_ptr<Logger> logger_;
    std::vector<std::pair<std::uint64_t, kernel::Fd>> pens_;
    std::atomic<bool> done_ = false;
    std::thread thread_;
};

void put(int fd, std::string_view text) {
    EXPECT_TRUE(kernel::write_all(fd, text.data(), text.size()));
}

TEST(Logger, WritesWhatComesAndTellsTheEnd) {
    testing::Folder folder;
    Running running(folder.path());
    const int pen = running.open(1, "shop/api@1");
    put(pen, "hello\nwor");
    put(pen, "ld\nend");
    running.hang_up(1);
    auto drained = running.expect<wire::Drained>();
    while (drained.bytes < 15) drained = running.expect<wire::Drained>();
    EXPECT_EQ(drained, (wire::Drained{1, 15, false}));
    EXPECT_EQ(testing::texts_of(folder.file("shop%2Fapi@1/current")), (Texts{"hello", "world", "end"}));
    running.send(wire::Close{{1, 77}});
    EXPECT_EQ(running.expect<wire::Drained>(), (wire::Drained{77, 0, true})) << "unknown keys are closed already";
    EXPECT_EQ(running.expect<wire::Drained>(), (wire::Drained{1, 15, true}));
}

TEST(Logger, APipeWithoutWritersMayBeOpenedAgain) {
    testing::Folder folder;
    Running running(folder.path());
    auto pipe = kernel::make_pipe();
    running.send(wire::Open{{{1, 1, "db", {}, false}}}, {pipe->read.get()});
    pipe->write.reset();
    for (int i = 0; i < 3; ++i) {
        {
            const kernel::Fd again = std::move(*kernel::reopen(pipe->read.get(), O_WRONLY | O_CLOEXEC));
            put(again.get(), "process " + std::to_string(i) + "\n");
        }
        EXPECT_EQ(running.expect<wire::Drained>().bytes, 10u * (static_cast<unsigned>(i) + 1));
    }
    EXPECT_EQ(testing::texts_of(folder.file("db/current")), (Texts{"process 0", "process 1", "process 2"}));
}

TEST(Logger, FindsTheReadyLineOnce) {
    testing::Folder folder;
    Running running(folder.path());
    const int pen = running.open(5, "db");
    running.send(wire::Pattern{5, 105, false, "ready in [0-9]+ ms$", 0});
    put(pen, "starting\nready in x ms\nit is rea");
    put(pen, "dy in 17 ms\nready in 18 ms\n");
    EXPECT_EQ(running.expect<wire::Matched>(), (wire::Matched{5, 105, "it is ready in 17 ms"}));
    running.send(wire::Pattern{5, 106, true, "prompt> ", 0});
    put(pen, "a prompt> ");
    EXPECT_EQ(running.expect<wire::Matched>(), (wire::Matched{5, 106, "a prompt> "}))
        << "without waiting for the newline";
    running.send(wire::Pattern{5, 107, false, "(", 0});
    EXPECT_EQ(running.expect<wire::Refused>().run, 107u);
    // A logger that came back looks at what is written already.
    running.send(wire::Pattern{5, 108, true, "in 18", kernel::now().wall.ns - 3'600'000'000'000});
    EXPECT_EQ(running.expect<wire::Matched>(), (wire::Matched{5, 108, "ready in 18 ms"}));
}

// A file that takes the place of the doorbell, and whether it was rung since the last look.
class Doorbell {
  public:
    explicit Doorbell(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
    [[nodiscard]] int fd() const { return file_.get(); }
    bool rung() {
        for (int i = 0; i < 5000; ++i) {
            if (kernel::fd_status(file_.get())->size != 0) return ::ftruncate(file_.get(), 0) == 0;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

  private:
    kernel::Fd file_;
};

TEST(Logger, RingsWhenItIsToldAndWheneverTheBellIsWritten) {
    testing::Folder folder;
    Running running(folder.path());
    Doorbell first(folder.file("first")), second(folder.file("second"));
    running.send(wire::Ring{}, {first.fd()});  // of an earlier manager: this once
    EXPECT_TRUE(first.rung());
    const kernel::Bell one = std::move(*kernel::Bell::create()), other = std::move(*kernel::Bell::create());
    running.send(wire::Ring{}, {first.fd(), one.fd()});
    EXPECT_TRUE(first.rung());
    EXPECT_EQ(running.expect<wire::Listening>(), wire::Listening{});
    for (int i = 0; i < 3; ++i) {
        one.ring();
        EXPECT_TRUE(first.rung());
    }
    // The next manager has a bell of its own, and may have made another doorbell.
    running.send(wire::Ring{}, {second.fd(), other.fd()});
    EXPECT_TRUE(second.rung());
    EXPECT_EQ(running.expect<wire::Listening>(), wire::Listening{});
    one.ring();
    other.ring();
    EXPECT_TRUE(second.rung());
    const int left = one.fd();
    EXPECT_TRUE(*kernel::wait_readable(left, Duration{})) << "nobody listens to the first one any more";
    EXPECT_EQ(kernel::fd_status(first.fd())->size, 0u);
}

TEST(Logger, InheritedLinesGoOutWhole) {
    testing::Folder folder;
    Running running(folder.path());
    model::LogSpec spec;
    spec.mode = model::LogMode::inherit;
    const int one = running.open(1, "one", spec), two = running.open(2, "two", spec);
    put(one, "be");
    put(two, "whole\n");
    EXPECT_EQ(running.output(), "two | whole\n");
    put(one, "gin\nrest");
    EXPECT_EQ(running.output(), "one | begin\n");
    running.hang_up(1);
    EXPECT_EQ(running.output(), "one | rest\n");
    EXPECT_FALSE(std::filesystem::exists(folder.file("one")));
    running.send(wire::Configure{});  // no directory: all is inherited
    const int file = running.open(3, "three");
    put(file, "x\n");
    EXPECT_EQ(running.output(), "three | x\n");
}

TEST(Logger, AReaderThatDoesNotReadCostsLinesNotMemory) {
    testing::Folder folder;
    Running running(folder.path(), false);
    model::LogSpec spec;
    spec.mode = model::LogMode::inherit;
    const int pen = running.open(1, "one", spec);
    const std::string line(999, 'x');
    for (int i = 0; i < 4000; ++i) put(pen, line + "\n");
    running.close_and_wait(1);
    std::string all;
    while (all.find("were lost: nobody read") == std::string::npos && all.size() < (8u << 20)) {
        const std::string more = running.output();
        if (more.empty()) break;
        all += more;
    }
    EXPECT_NE(all.find("were lost: nobody read"), std::string::npos);
    EXPECT_LT(all.size(), 2u << 20);
}

TEST(Logger, DrainsAndLeavesAnOpenLineForItsSuccessor) {
    testing::Folder folder;
    auto pipe = kernel::make_pipe();
    {
        Running first(folder.path());
        first.send(wire::Open{{{1, 1, "db", {}, false}}}, {pipe->read.get()});
        put(pipe->write.get(), "one\nbegin ");
        first.send(wire::DrainAndExit{});
        EXPECT_EQ(first.expect<wire::Drained>(), (wire::Drained{1, 10, true}));
        for (int i = 0; i < 500 && !first.done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        EXPECT_TRUE(first.done());
    }
    put(pipe->write.get(), "end\n");
    Running second(folder.path());
    second.send(wire::Open{{{1, 1, "db", {}, true}}}, {pipe->read.get()});
    pipe->write.reset();
    EXPECT_EQ(second.expect<wire::Drained>().bytes, 4u);
    EXPECT_EQ(testing::texts_of(folder.file("db/current")), (Texts{"one", "begin end"}));
}

TEST(Logger, ReadsOnWithoutAManagerUntilThePipesEnd) {
    testing::Folder folder;
    Running running(folder.path());
    const int pen = running.open(1, "db");
    running.leave();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(running.done());
    for (int i = 0; i < 1000; ++i) put(pen, std::string(999, 'y') + "\n");  // more than the pipe holds
    running.hang_up(1);
    for (int i = 0; i < 500 && !running.done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(running.done());
    EXPECT_EQ(testing::texts_of(folder.file("db/current")).size(), 1000u);
}

// What a terminal adds to the end of a line is taken away; when its last program is gone the master says EIO.
TEST(Logger, ReadsTheMasterOfATerminal) {
    testing::Folder folder;
    Running running(folder.path());
    kernel::Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
    kernel::Fd program(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(program);
    running.send(wire::Open{{{1, 1, "db", {}, false}}}, {master.get()});
    put(program.get(), "one\ntwo\rthree\n");
    for (int i = 0; i < 3000; ++i) put(program.get(), "line " + std::to_string(i) + "\n");
    put(program.get(), "end");
    program.reset();
    EXPECT_GT(running.expect<wire::Drained>().bytes, 20'000u);
    running.close_and_wait(1);
    const Texts texts = testing::texts_of(folder.file("db/current"));
    ASSERT_EQ(texts.size(), 3003u);
    EXPECT_EQ(texts.front(), "one");
    EXPECT_EQ(texts[3001], "line 2999");
    EXPECT_EQ(texts.back(), "end");
}

TEST(Logger, ATerminalWithoutALogIsReadAllTheSame) {
    testing::Folder folder;
    Running running(folder.path());
    kernel::Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
    kernel::Fd program(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    model::LogSpec none;
    none.mode = model::LogMode::none;
    running.send(wire::Open{{{1, 1, "db", none, false}}}, {master.get()});
    for (int i = 0; i < 100; ++i) put(program.get(), std::string(4000, 'x') + "\n");
    running.close_and_wait(1);
    EXPECT_FALSE(std::filesystem::exists(folder.file("db/current")));
}

TEST(Logger, GarbageIsCountedAndChangesNothing) {
    testing::Folder folder;
    Running running(folder.path());
    std::mt19937 random(5);
    const std::string good = wire::encode(wire::ToLogger{wire::Open{{{1, 2, "db", {}, false}}}});
    for (std::size_t cut = 1; cut < good.size(); ++cut) running.send_raw(good.substr(0, cut));
    for (int i = 0; i < 300; ++i) {
        std::string bytes(1 + random() % 200, '\0');
        for (char& c : bytes) c = static_cast<char>(random() % 256);
        running.send_raw(bytes);
    }
    running.send_raw(std::string("\1\0\x63\0\0\0", 6));  // verb 99
    running.send_raw(std::string(100'000, 'x'));
    running.send(wire::Open{{{3, 3, "no pipe with it", {}, false}}});
    EXPECT_EQ(running.expect<wire::Refused>().key, 3u);
    const kernel::Fd file = std::move(*kernel::open_directory("/"));
    running.send(wire::Open{{{4, 4, "not a pipe", {}, false}}}, {file.get()});
    EXPECT_EQ(running.expect<wire::Refused>().key, 4u);
    const int pen = running.open(6, "db");
    put(pen, "alive\n");
    running.close_and_wait(6);
    EXPECT_EQ(testing::texts_of(folder.file("db/current")), (Texts{"alive"}));
    EXPECT_GT(running.logger().counters().bad_messages, 100u);
    EXPECT_GE(running.logger().counters().unknown_verbs, 1u);
}

// A service that floods must not delay another one's lines.
TEST(Logger, AFloodDelaysNobody) {
    testing::Folder folder;
    Running running(folder.path());
    model::LogSpec spec;
    spec.max_size = 100u << 20;
    const int flood = running.open(1, "flood", spec), calm = running.open(2, "calm");
    std::atomic<bool> flooding = true;
    std::thread flooder([&] {
        std::string block;
        while (block.size() < 60'000) block += "this is one of very many lines that nobody will ever read\n";
        for (std::size_t sent = 0; sent < (50u << 20); sent += block.size()) put(flood, block);
        flooding = false;
    });
    std::int64_t worst_ns = 0;
    int lines = 0;
    while (flooding) {
        const std::int64_t asked_ns = kernel::now().wall.ns;
        put(calm, "line " + std::to_string(lines++) + "\n");
        for (int i = 0; i < 5000 &&
                        static_cast<int>(testing::lines_of(testing::slurp(folder.file("calm/current"))).size()) < lines;
             ++i)
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        worst_ns = std::max(worst_ns, kernel::now().wall.ns - asked_ns);
    }
    flooder.join();
    EXPECT_GT(lines, 3);
    EXPECT_LT(worst_ns, 1'000'000'000) << "others' lines come within a second";
    RecordProperty("worst_ms", static_cast<int>(worst_ns / 1'000'000));
    running.close_and_wait(1);
    std::uint64_t size = 0;
    for (const std::string& name : testing::names_in(folder.file("flood")))
        size += std::filesystem::file_size(folder.file("flood/" + name));
    EXPECT_GT(size, 50u << 20);
}

TEST(Logger, AnEndlessLineStaysWithinBounds) {
    testing::Folder folder;
    Running running(folder.path());
    model::LogSpec spec;
    spec.max_size = 16u << 20;
    spec.keep = 100;
    spec.compress = false;
    const int pen = running.open(1, "db", spec);
    rusage before{};
    const std::string block(1u << 20, '\xee');
    for (int i = 0; i < 64; ++i) {
        put(pen, block);
        if (i == 4) ::getrusage(RUSAGE_SELF, &before);
    }
    running.close_and_wait(1);
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 4096) << "KiB";
    std::uint64_t bytes = 0;
    for (const std::string& name : testing::names_in(folder.file("db")))
        for (const std::string& text : testing::texts_of(folder.file("db/" + name))) {
            ASSERT_LE(text.size(), limits::kLogLineBytes + 1);
            bytes += text.size() - (text[0] == '+' ? 1 : 0);
        }
    EXPECT_EQ(bytes, 64u << 20);
}

TEST(Logger, IdleMeansNoWakeUps) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the sanitizer's own thread wakes up";
#endif
    testing::Folder folder;
    Running running(folder.path());
    for (std::uint64_t key = 1; key <= 64; ++key) put(running.open(key, "s" + std::to_string(key)), "up\n");
    for (std::uint64_t key = 1; key <= 32; ++key) running.hang_up(key);
    running.send(wire::Close{{999}});
    while (running.expect<wire::Drained>().key != 999) {}
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto switches = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_nvcsw;
    };
    const long before = switches();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_LE(switches() - before, 2) << "this thread's own sleep is one";
}

TEST(Protocol, EveryMessageComesBack) {
    model::LogSpec spec;
    spec.mode = model::LogMode::inherit;
    spec.max_size = 12345678901ull;
    spec.keep = 7;
    spec.max_age = seconds(99);
    spec.compress = false;
    const std::vector<wire::ToLogger> down = {wire::Open{{{1, 2, "a", spec, true}, {~0ull, 4, "scope/b@i", {}, false}}},
                                              wire::Close{{1, 2, 3}},
                                              wire::Pattern{1, 2, true, "text", -5},
                                              wire::Configure{},
                                              wire::DrainAndExit{},
                                              wire::Unknown{999}};
    for (const wire::ToLogger& message : down) EXPECT_EQ(wire::decode_to_logger(wire::encode(message)), message);
    const std::vector<wire::ToManager> up = {wire::Matched{1, 2, "line\0x"}, wire::Drained{1, 2, true},
                                             wire::Dropped{1, 2, 3},         wire::Problem{1, 28, "disk full"},
                                             wire::Refused{1, 2, "why"},     wire::Unknown{998}};
    for (const wire::ToManager& message : up) EXPECT_EQ(wire::decode_to_manager(wire::encode(message)), message);
    // Appended fields of a later version are skipped.
    std::string longer = wire::encode(wire::ToManager{wire::Drained{1, 2, true}});
    longer += "more";
    longer[6] = static_cast<char>(longer[6] + 4);
    EXPECT_EQ(wire::decode_to_manager(longer), wire::ToManager(wire::Drained{1, 2, true}));
    EXPECT_EQ(wire::batches(std::vector<wire::OpenItem>(130)).size(), 3u);
    wire::Open full;
    for (std::size_t i = 0; i < wire::kItems; ++i) full.items.push_back({i, i, std::string(193, 'n'), {}, false});
    EXPECT_EQ(std::get<wire::Open>(*wire::decode_to_logger(wire::encode(wire::ToLogger{full}))).items.size(),
              wire::kItems);
}

}  // namespace
}  // namespace abide::logger
