// The first journal of an instance is read back as what was meant; enable and disable last.
#include "cli/seed.hpp"

#include "base/limits.hpp"
#include "journal/reader.hpp"
#include "model/codec.hpp"
#include "unit/cli/scratch.hpp"

namespace abide::cli {
namespace {

Seed seed_of(std::vector<std::string> chosen) {
    Seed out;
    out.events = [] { return EventIds{500, 1500, "abc"}; };
    for (const char* name : {"api", "db", "worker@"}) {
        model::ServiceSpec spec;
        spec.name = name;
        spec.command.argv = {"/bin/true", "%i"};
        spec.is_template = spec.name.ends_with('@');
        spec.autostart = !spec.is_template;
        out.configuration.services.push_back(spec);
    }
    out.configuration.instance.name = "shop";
    out.chosen = std::move(chosen);
    out.boot.boot_id = "b";
    out.random = 77;
    out.now.wall = Wall{5};
    return out;
}

TEST(Seed, IsReadBackWhole) {
    Seed seed = seed_of({"db"});
    seed.enabled = {{"api", false}};
    const model::Configuration configuration = seed.configuration;
    const auto image = seed_journal(std::move(seed));
    ASSERT_TRUE(image) << image.error().what;
    const journal::Recovered read = journal::read(std::string_view(*image));
    EXPECT_TRUE(read.problems.empty());
    EXPECT_FALSE(read.refused || read.must_compact);
    ASSERT_TRUE(read.instance && read.boot && read.header);
    EXPECT_EQ(read.instance->spec, configuration.instance);
    EXPECT_EQ(read.instance->random, 77u);
    EXPECT_EQ(read.instance->last_event, EventId{500});
    EXPECT_EQ(read.instance->reserved_events, EventId{1500});
    EXPECT_EQ(read.instance->stream, "abc");
    EXPECT_EQ(read.boot->boot_id, "b");
    ASSERT_EQ(read.services.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(read.services[i].name, configuration.services[i].name);
        EXPECT_EQ(read.specs.at(read.services[i].spec), configuration.services[i]);
        EXPECT_EQ(read.services[i].state, model::State::inactive);
    }
    EXPECT_FALSE(read.services[0].enabled);
    EXPECT_EQ(read.services[0].want, model::Want::down);
    EXPECT_EQ(read.services[1].want, model::Want::up);
}

TEST(Seed, ChosenNamesMustExistAndTemplatesAreMade) {
    EXPECT_EQ(seed_journal(seed_of({"dbb"})).error().kind, ErrorKind::not_found);
    EXPECT_NE(seed_journal(seed_of({"dbb"})).error().advice.find("db"), std::string::npos);
    EXPECT_EQ(seed_journal(seed_of({"worker@"})).error().kind, ErrorKind::usage);
    EXPECT_EQ(seed_journal(seed_of({"nobody@1"})).error().kind, ErrorKind::not_found);
    const auto image = seed_journal(seed_of({"worker@mail"}));
    ASSERT_TRUE(image);
    const journal::Recovered read = journal::read(std::string_view(*image));
    ASSERT_EQ(read.services.size(), 4u);
    EXPECT_EQ(read.services[3].name, "worker@mail");
    EXPECT_EQ(read.services[3].want, model::Want::up);
    EXPECT_EQ(read.specs.at(read.services[3].spec).command.argv.at(1), "mail");
}

TEST(Seed, TooLargeASpecificationIsRefused) {
    Seed seed = seed_of({});
    seed.configuration.services[0].description.edit().assign(limits::kRecordBytes + 1, 'x');
    seed.events = []() -> EventIds {
        ADD_FAILURE() << "ids are reserved for nobody";
        return {};
    };
    EXPECT_EQ(seed_journal(std::move(seed)).error().kind, ErrorKind::refused);
}

class EnabledTest : public Scratch {};

TEST_F(EnabledTest, LastsAndIsChecked) {
    Places places;
    places.apps = root + "/state/apps";
    EXPECT_TRUE(read_enabled(places)->empty());
    ASSERT_TRUE(record_enabled(places, {"a", "b@1"}, false));
    ASSERT_TRUE(record_enabled(places, {"a", "c"}, true));
    EXPECT_EQ(*read_enabled(places), (EnabledMap{{"a", true}, {"b@1", false}, {"c", true}}));
    file("/state/enabled", "+good\n?bad\n");
    EXPECT_FALSE(read_enabled(places));
}

}  // namespace
}  // namespace abide::cli
