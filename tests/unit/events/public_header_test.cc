// The public header stands alone: a program that has it needs neither Boost nor fmt, and nothing of src/.
#include "abide/events.hpp"

#if defined(BOOST_VERSION) || defined(FMT_VERSION) || defined(BOOST_DESCRIBE_STRUCT)
#error "the public header brings a library along"
#endif

#include <gtest/gtest.h>

#include <type_traits>

namespace {

using abide::events::Cursor;
using abide::events::Reader;

static_assert(std::is_nothrow_move_constructible_v<Reader> && !std::is_copy_constructible_v<Reader>);

TEST(PublicHeader, CursorsAreText) {
    EXPECT_EQ((Cursor{1842, ""}).text(), "00000000000000001842");
    EXPECT_EQ(Cursor::parse("1842@/abide/shop")->text(), "00000000000000001842@/abide/shop");
    EXPECT_EQ(Cursor::parse("0")->id, 0u);
    EXPECT_EQ(Cursor::parse("x").error().code, abide::events::ErrorCode::bad_cursor);
}

TEST(PublicHeader, AFolderThatIsNotThereIsWaitedForAndOneThatIsNoFolderIsAnError) {
    auto reader = Reader::open("/tmp/abide-no-such-folder/events");
    ASSERT_TRUE(reader);
    EXPECT_GE(reader->fd(), 0);
    EXPECT_FALSE(*reader->wait(std::chrono::milliseconds(1)));
    const auto file = Reader::open("/proc/self/status");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, abide::events::ErrorCode::unreadable);
    EXPECT_NE(file.error().err, 0);
}

}  // namespace
