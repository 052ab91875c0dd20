// What is put in is found again, in order, whatever was taken out before; against std::map.
#include "base/flat_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace abide {
namespace {

using Entries = std::vector<std::pair<int, int>>;

Entries entries_of(const FlatMap<int, int>& map) {
    Entries entries;
    map.for_each([&](int key, int value) { entries.emplace_back(key, value); });
    return entries;
}

TEST(FlatMap, DoesWhatAMapDoes) {
    std::mt19937 random(7);
    FlatMap<int, int> map;
    std::map<int, int> expected;
    for (int step = 0; step < 20'000; ++step) {
        const int key = static_cast<int>(random() % 200);
        if (random() % 2 == 0) {
            map.insert_or_assign(key, step);
            expected[key] = step;
        } else {
            EXPECT_EQ(map.erase(key), expected.erase(key) == 1);
        }
        if (step % 97 == 0) map.shrink_to_fit();
        ASSERT_EQ(map.size(), expected.size());
        const int asked = static_cast<int>(random() % 200);
        const int* const found = map.find(asked);
        ASSERT_EQ(found != nullptr, expected.contains(asked));
        if (found == nullptr) continue;
        ASSERT_EQ(*found, expected[asked]);
    }
    EXPECT_EQ(entries_of(map), Entries(expected.begin(), expected.end()));
}

TEST(FlatMap, WhatIsTakenOutIsGoneAtOnce) {
    FlatMap<int, std::shared_ptr<int>> map;
    const auto thing = std::make_shared<int>(1);
    for (int key = 0; key < 10; ++key) map.insert_or_assign(key, thing);
    EXPECT_EQ(thing.use_count(), 11);
    EXPECT_TRUE(map.erase(4));
    EXPECT_FALSE(map.erase(4));
    EXPECT_EQ(thing.use_count(), 10);
    EXPECT_FALSE(map.contains(4));
    map.insert_or_assign(4, thing);
    EXPECT_TRUE(map.contains(4));
    EXPECT_EQ(map.size(), 10u);
}

}  // namespace
}  // namespace abide
