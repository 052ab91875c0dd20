// A text or list that is nearly always empty is like any other, but for its size.
#include "base/rare.hpp"

#include <gtest/gtest.h>

namespace abide {
namespace {

static_assert(sizeof(Rare<std::string>) == sizeof(void*) && sizeof(Rare<std::vector<int>>) == sizeof(void*));

TEST(Rare, NothingIsTheSameAsAnEmptyThing) {
    Rare<std::vector<int>> list;
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.begin(), list.end());
    list.push_back(1);
    EXPECT_NE(list, (Rare<std::vector<int>>{}));
    EXPECT_EQ(erase(list, 1), 1u);
    EXPECT_EQ(list, (Rare<std::vector<int>>{}));
    EXPECT_EQ(Rare<std::string>(""), Rare<std::string>());
}

TEST(Rare, CopiesAreTheirOwn) {
    Rare<std::vector<int>> one{1, 2, 3};
    Rare<std::vector<int>> other = one;
    EXPECT_EQ(erase_if(other, [](int n) { return n > 1; }), 2u);
    EXPECT_EQ(one.value(), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(other.value(), (std::vector<int>{1}));
    other = {4};
    EXPECT_EQ(other.value(), (std::vector<int>{4}));
    other.clear();
    EXPECT_EQ(erase_if(other, [](int) { return true; }), 0u);
}

TEST(Rare, ATextIsReadAsATextAndChangedInPlace) {
    Rare<std::string> text = "slow";
    const std::string& read = text;
    EXPECT_EQ(read, "slow");
    text.edit() += "er";
    EXPECT_EQ(text, "slower");
    text.edit().clear();
    text.shrink_to_fit();
    EXPECT_EQ(text, Rare<std::string>());
}

}  // namespace
}  // namespace abide
