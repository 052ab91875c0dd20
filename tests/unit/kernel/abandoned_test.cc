// tests/unit/kernel/abandoned_test.cc -- who says that a folder is left to it alone, and who can be told of him.
#include "kernel/abandoned.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/files.hpp"
#include "kernel/process.hpp"

namespace abide::kernel {
namespace {

class Abandoned : public ::testing::Test {
  protected:
    Abandoned() : folder_(std::move(*open_directory(path_))) {}
    ~Abandoned() override {
        if (writer_ > 0) end_writer();
        EXPECT_EQ(::rmdir(path_), 0);
    }

    // Another process that opens the folder for itself, and says so.
    void start_writer() {
        int said[2];
        ASSERT_EQ(::pipe(said), 0);
        writer_ = ::fork();
        ASSERT_GE(writer_, 0);
        if (writer_ == 0) {
            const Result<Fd> folder = open_directory(path_);
            const char word = folder && mark_abandoned(folder->get()) ? 'y' : 'n';
            (void)!::write(said[1], &word, 1);
            while (true) ::pause();
        }
        char word = 'n';
        EXPECT_EQ(::read(said[0], &word, 1), 1);
        EXPECT_EQ(word, 'y');
        ::close(said[0]);
        ::close(said[1]);
    }
    void end_writer() {
        EXPECT_EQ(::kill(writer_, SIGKILL), 0);
        EXPECT_EQ(::waitpid(writer_, nullptr, 0), writer_);
        writer_ = 0;
    }
    [[nodiscard]] ErrorKind refusal() const {
        const Result<Fd> found = find_abandoned(folder_.get());
        return found ? ErrorKind::failed : found.error().kind;
    }

    char path_[32] = "/tmp/abide-abandoned-XXXXXX";
    const char* made_ = ::mkdtemp(path_);
    Fd folder_;
    pid_t writer_ = 0;
};

TEST_F(Abandoned, IsFoundWhileItLives) {
    EXPECT_EQ(refusal(), ErrorKind::not_found);
    start_writer();
    const Result<Fd> found = find_abandoned(folder_.get());
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(*pid_of(found->get()), writer_);
    end_writer();
    EXPECT_EQ(refusal(), ErrorKind::not_found);
}

TEST_F(Abandoned, OneOfAnotherNamespaceIsNotGuessedAt) {
    start_writer();
    const pid_t outside = ::fork();
    ASSERT_GE(outside, 0);
    if (outside == 0) {
        if (::unshare(CLONE_NEWPID) != 0) ::_exit(77);
        const pid_t inside = ::fork();
        if (inside == 0) ::_exit(refusal() == ErrorKind::refused ? 0 : 1);
        int status = 0;
        ::_exit(::waitpid(inside, &status, 0) == inside && WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(outside, &status, 0), outside);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs a pid namespace";
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace abide::kernel
