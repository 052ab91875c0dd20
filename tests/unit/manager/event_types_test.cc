// What the engine can tell of and what readers know by name is the same list.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <set>

#include "events/filter.hpp"
#include "model/event_json.hpp"

namespace abide::manager {
namespace {

TEST(EventTypes, ReadersKnowEveryOne) {
    std::size_t count = 0;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<model::EventType>>([&](auto one) {
        std::string name = model::event_type_name(one.value);
        if (one.value == model::EventType::user) name += "anything";
        EXPECT_EQ(events::full_type(name), name);
        EXPECT_TRUE(events::Filter::make({name}, {})) << name;
        ++count;
    });
    EXPECT_GE(count, 24u);
    const auto types = events::known_types();
    EXPECT_EQ(std::set<std::string_view>(types.begin(), types.end()).size(), types.size());
}

}  // namespace
}  // namespace abide::manager
