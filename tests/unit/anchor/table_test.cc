// tests/unit/anchor/table_test.cc -- the anchor's table against std::map, through random adding and removing.
#include "anchor/table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace abide::anchor {
namespace {

struct Entry {
    std::uint64_t key;
    int value;
};

TEST(Table, AgreesWithAMap) {
    for (const std::uint64_t spread : {1ull, 256ull, 0x9E3779B97F4A7C15ull}) {
        const auto table = std::make_unique<Table<Entry, 1024>>();
        std::map<std::uint64_t, int> model;
        std::mt19937 random(1);
        int refused = 0;
        for (int step = 0; step < 200'000; ++step) {
            const std::uint64_t key = (1 + random() % 1500) * spread;
            const bool adds = random() % 100 < (step / 20'000 % 2 == 0 ? 70u : 30u);
            if (adds) {
                Entry* entry = table->add(key);
                if (entry == nullptr) {
                    ASSERT_EQ(model.size(), 1024u);
                    ++refused;
                } else {
                    entry->value = step;
                    model[key] = step;
                }
            } else if (Entry* entry = table->find(key)) {
                table->remove(entry);
                ASSERT_EQ(model.erase(key), 1u);
            } else {
                ASSERT_FALSE(model.contains(key));
            }
            ASSERT_EQ(table->count(), model.size());
            if (step % 1000 != 0) continue;
            for (const auto& [known, value] : model) {
                const Entry* entry = table->find(known);
                ASSERT_NE(entry, nullptr);
                ASSERT_EQ(entry->value, value);
            }
            for (const Entry& entry : *table) ASSERT_EQ(model.at(entry.key), entry.value);
        }
        EXPECT_GT(refused, 0);
        EXPECT_EQ(table->find(0), nullptr);
        EXPECT_EQ(table->add(0), nullptr);
    }
}

}  // namespace
}  // namespace abide::anchor
