// A file that replaces another one while a child waits for the disk.
#include "kernel/file_writing.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>

#include "kernel/files.hpp"

namespace abide::kernel {
namespace {

class FileWritingTest : public testing::Test {
  protected:
    FileWritingTest() {
        char path[] = "/tmp/abide-writing-XXXXXX";
        folder_ = ::mkdtemp(path);
        EXPECT_TRUE(write_file_atomic(file(), "old"));
    }
    ~FileWritingTest() override {
        std::filesystem::remove_all(folder_);
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child was left";
        EXPECT_EQ(errno, ECHILD);
    }
    [[nodiscard]] std::string file() const { return folder_ + "/file"; }
    [[nodiscard]] std::string content() const { return read_file(file(), 100).value_or("none"); }
    [[nodiscard]] std::size_t files() const {
        const auto all = std::filesystem::directory_iterator(folder_);
        return static_cast<std::size_t>(std::distance(begin(all), end(all)));
    }
    std::string folder_;
};

TEST_F(FileWritingTest, IsAtItsPlaceWhenItIsFinishedAndNotBefore) {
    for (const bool meanwhile : {true, false}) {
        const std::string wanted = meanwhile ? "by a child" : "by ourselves";
        const std::string before = content();
        const auto writing = FileWriting::begin(file(), wanted, 0600);
        ASSERT_TRUE(writing);
        if (meanwhile) (*writing)->sync_meanwhile();
        EXPECT_EQ(content(), before);
        ASSERT_TRUE((*writing)->finish());
        EXPECT_EQ(content(), wanted);
        EXPECT_EQ(files(), 1u);
    }
}

TEST_F(FileWritingTest, LeavesNothingWhenItIsGivenUp) {
    for (int round = 0; round < 20; ++round) {
        const auto writing = FileWriting::begin(file(), "new", 0600);
        ASSERT_TRUE(writing);
        (*writing)->sync_meanwhile();
    }
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(files(), 1u);
}

TEST_F(FileWritingTest, SaysWhatFailed) {
    const auto nowhere = FileWriting::begin(folder_ + "/missing/file", "new", 0600);
    ASSERT_FALSE(nowhere);
    EXPECT_EQ(nowhere.error().kind, ErrorKind::not_found);
    const auto writing = FileWriting::begin(file(), "new", 0600);
    ASSERT_TRUE(writing);
    (*writing)->sync_meanwhile();
    std::filesystem::remove(file());
    std::filesystem::create_directory(file());
    EXPECT_FALSE((*writing)->finish());
}

}  // namespace
}  // namespace abide::kernel
