// Folders that a child makes in our memory while we go on.
#include "kernel/folders_ahead.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

using namespace abide::kernel;

namespace {

class FoldersAheadTest : public testing::Test {
  protected:
    FoldersAheadTest() {
        char path[] = "/tmp/abide-ahead-XXXXXX";
        path_ = ::mkdtemp(path);
    }
    ~FoldersAheadTest() override { std::filesystem::remove_all(path_); }

    Fd parent() const { return Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }
    bool there(const std::string& name) const { return std::filesystem::is_directory(path_ / name); }
    bool comes(const std::string& name) const {
        for (int i = 0; i < 5000 && !there(name); ++i) ::usleep(1000);
        return there(name);
    }
    static std::vector<std::string> names(int count) {
        std::vector<std::string> all;
        for (int i = 0; i < count; ++i) all.push_back("n" + std::to_string(i));
        return all;
    }
    std::filesystem::path path_;
};

}  // namespace

TEST_F(FoldersAheadTest, MakesAllAndMindsNoneThatIsThere) {
    std::filesystem::create_directory(path_ / "n1");
    const auto ahead = FoldersAhead::begin(parent(), names(100));
    ASSERT_NE(ahead, nullptr);
    EXPECT_TRUE(comes("n99"));
    for (const std::string& name : names(100)) EXPECT_TRUE(there(name)) << name;
}

TEST_F(FoldersAheadTest, EndsWithItsOwnerAndLeavesNoChild) {
    for (int round = 0; round < 50; ++round) {
        const auto ahead = FoldersAhead::begin(parent(), names(1000));
        ASSERT_NE(ahead, nullptr);
    }
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST_F(FoldersAheadTest, KeepsNothingOpenThatWasOpen) {
    int ends[2] = {};
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const auto ahead = FoldersAhead::begin(parent(), names(3000));
    ASSERT_NE(ahead, nullptr);
    EXPECT_TRUE(comes("n0"));
    writer.reset();
    char byte = 0;
    EXPECT_EQ(::read(reader.get(), &byte, 1), 0);  // the end of file waits for nobody
}

TEST_F(FoldersAheadTest, StandsBack) {
    const Fd other = parent();
    FoldersAhead::stand_back(other.get());
    const auto ahead = FoldersAhead::begin(parent(), names(10));
    ASSERT_NE(ahead, nullptr);
    ::usleep(100'000);
    EXPECT_FALSE(there("n9"));
}

TEST_F(FoldersAheadTest, DoesNothingWithNothingToDo) {
    EXPECT_EQ(FoldersAhead::begin(parent(), {}), nullptr);
    EXPECT_EQ(FoldersAhead::begin(Fd(), names(1)), nullptr);
}
