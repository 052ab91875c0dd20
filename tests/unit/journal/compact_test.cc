// Compaction: nothing is lost, not even what this version does not understand, and the image says so itself.
#include "journal/compact.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "unit/journal/random_model.hpp"
#include "unit/journal/small_journal.hpp"

namespace abide::journal {
namespace {

Recovered compacted(const Recovered& recovered, std::string* image = nullptr) {
    Writer writer(Epoch{recovered.last_epoch.value + 1}, recovered.last_sequence, recovered.kept);
    const std::string bytes(compact(writer, recovered, recovered.header ? recovered.header->program : ""));
    if (image) *image = bytes;
    return read(bytes);
}

// Appends a record of any type, as a newer version would.
void append_raw(std::string& image, std::uint16_t type, std::uint64_t sequence, std::uint64_t key,
                std::string_view payload) {
    const std::size_t start = image.size();
    append_frame(image, {.length = static_cast<std::uint32_t>(payload.size()),
                         .type = type,
                         .schema = 3,
                         .epoch = 1,
                         .sequence = sequence,
                         .key = key});
    image += payload;
    seal_batch(image, std::array{start});
}

TEST(Compact, KeepsAllFacts) {
    const Recovered before = read(test::joined(test::small_journal()));
    std::string image;
    const Recovered after = compacted(before, &image);
    EXPECT_TRUE(after.problems.empty()) << after.problems[0];
    EXPECT_EQ(test::facts(after), test::facts(before));
    EXPECT_LT(image.size(), before.statistics.bytes);
    EXPECT_EQ(after.last_epoch, Epoch{2});
}

TEST(Compact, EventsThatAreInNoFileYetGoAlong) {
    Recovered before = read(test::joined(test::small_journal()));
    before.events.lines = "{\"id\":\"7\"}\n{\"id\":\"8\"}\n";
    std::string image;
    EXPECT_EQ(compacted(before, &image).events, before.events);
    before.events.lines.clear();
    EXPECT_EQ(compacted(before).events, EventLines{});
}

TEST(Compact, RandomStatesComeBack) {
    test::RandomModel random(42);
    for (int round = 0; round < 60; ++round) {
        Recovered state;
        state.instance = random.make<model::Instance>();
        state.boot = random.make<BootRecord>();
        state.environment = random.make<Environment>();
        for (std::uint64_t i = 0; i < 5; ++i) {
            auto service = random.make<model::Service>();
            service.name = "service" + std::to_string(i);
            state.services.push_back(std::move(service));
            auto spec = random.make<model::ServiceSpec>();
            state.specs.emplace(model::spec_hash(spec), std::move(spec));
            auto operation = random.make<model::Operation>();
            operation.id = OperationId{i + 1};
            state.operations.push_back(std::move(operation));
            state.pids[SpawnId{i + 1}] = {SpawnId{i + 1}, Epoch{1}, static_cast<std::int32_t>(random.below(1u << 22))};
        }
        std::string image;
        const Recovered after = compacted(state, &image);
        ASSERT_TRUE(after.problems.empty()) << after.problems[0];
        ASSERT_EQ(after.instance, state.instance);
        ASSERT_EQ(after.boot, state.boot);
        ASSERT_EQ(after.environment, state.environment);
        ASSERT_EQ(after.services, state.services);
        ASSERT_EQ(after.specs, state.specs);
        ASSERT_EQ(after.operations, state.operations);
        ASSERT_EQ(after.pids, state.pids);
    }
}

TEST(Compact, UnknownThingsAreWrittenBack) {
    std::string image = test::joined(test::small_journal());
    append_raw(image, 3, 16, name_key("db"),
               R"({"name":"db","spec":1,"runs":[{"number":1,"lease":{"until":"x"}}],"revision":"r7"})");
    append_raw(image, 77, 17, 5, "\x01\x02 not even JSON");
    append_raw(image, 77, 18, 5, "the newer of the two");
    append_raw(image, 78, 19, 1, "gone");
    append_raw(image, 78 | kRemoved, 20, 1, "{}");
    const Recovered before = read(image);
    EXPECT_TRUE(before.problems.empty()) << before.problems[0];
    EXPECT_EQ(before.statistics.unknown, 1u);
    const Recovered once = compacted(before);
    const Recovered twice = compacted(once);
    EXPECT_EQ(test::facts(twice), test::facts(before));
    EXPECT_NE(test::facts(twice).find(R"("runs":[{"number":1,"lease":{"until":"x"}}],"revision":"r7"})"),
              std::string::npos);
    const RawRecord& raw = twice.kept.records.at({77, 5});
    EXPECT_EQ(raw.payload, "the newer of the two");
    EXPECT_EQ(raw.schema, 3);
}

// There is one instance.  A record of one with a key is kept like anything unknown, and hides nothing.
TEST(Compact, ASecondInstanceIsNone) {
    std::string image = test::joined(test::small_journal());
    append_raw(image, 5, 16, 256, "no JSON");
    append_raw(image, 5, 17, 257, R"({"spec":{"name":"other"}})");
    const Recovered before = read(image);
    ASSERT_TRUE(before.instance);
    EXPECT_EQ(before.instance, read(test::joined(test::small_journal())).instance);
    EXPECT_EQ(compacted(before).instance, before.instance);
    EXPECT_EQ(compacted(before).kept.records.at({5, 256}).payload, "no JSON");
}

TEST(Compact, UnknownMembersSurviveAChange) {
    std::string image = test::joined(test::small_journal());
    append_raw(image, 3, 16, name_key("db"), R"({"name":"db","spec":1,"revision":"r7"})");
    const Recovered before = read(image);
    Writer writer(Epoch{2}, before.last_sequence, before.kept);
    model::Service service = before.services.at(0);
    service.state = model::State::failed;
    writer.append_service(service);
    const Recovered after = read(image + std::string(writer.take()));
    EXPECT_EQ(after.kept.members.at(record_key(RecordType::service, name_key("db"))).members, R"("revision":"r7")");
    writer.append_removed_service("db");
    EXPECT_TRUE(writer.kept().members.empty());
}

TEST(Compact, VerifyNoticesEveryDifference) {
    const Recovered state = read(test::joined(test::small_journal()));
    Live live;
    live.instance = &*state.instance;
    live.specs = &state.specs;
    for (const model::Service& service : state.services) live.services.push_back(&service);
    live.environment = &state.environment;
    live.boot = &*state.boot;
    live.descriptors = &state.descriptors;
    live.pids = &state.pids;
    live.program = "0.1.0";
    Writer writer(Epoch{2}, state.last_sequence, state.kept);
    const std::string image(compact(writer, live));
    const Status good = verify(image, image, live);
    EXPECT_TRUE(good.has_value()) << good.error().what;

    model::Service other = state.services[0];
    other.restarts = 1;
    Live changed = live;
    changed.services = {&other};
    Writer fresh(Epoch{2}, state.last_sequence, state.kept);
    EXPECT_FALSE(verify(image, compact(fresh, changed), changed).has_value());
    EXPECT_FALSE(verify(std::string_view(image).substr(0, image.size() - 1), image, live).has_value());
    EXPECT_FALSE(verify("", "", live).has_value());
    std::string bent = image;
    bent[image.size() / 2] = static_cast<char>(bent[image.size() / 2] ^ 4);
    EXPECT_FALSE(verify(bent, image, live).has_value());
    EXPECT_FALSE(verify(bent, bent, live).has_value()) << "written so, it does not read as that";
}

TEST(Compact, WhenThePastOutgrowsThePresent) {
    EXPECT_FALSE(should_compact(256 << 10, 0));
    EXPECT_TRUE(should_compact((256 << 10) + 1, 0));
    EXPECT_FALSE(should_compact((2 << 20) + (256 << 10), 1 << 20));
    EXPECT_TRUE(should_compact((2 << 20) + (256 << 10) + 1, 1 << 20));
}

TEST(Compact, ALaterManagerKnowsHowMuchOfTheJournalIsPast) {
    std::string image = test::joined(test::small_journal());
    const std::size_t live = read(image).statistics.live_bytes;
    EXPECT_LT(live, image.size());
    const Recovered before = read(image);
    Writer writer(before.last_epoch, before.last_sequence, before.kept);
    for (int i = 0; i < 100; ++i) {
        writer.append_service(before.services[0]);
        image += writer.take();
    }
    EXPECT_EQ(read(image).statistics.live_bytes, live);
}

TEST(Writer, BatchesAndSequenceNumbers) {
    Writer writer(Epoch{3}, 41);
    EXPECT_TRUE(writer.empty());
    EXPECT_TRUE(writer.take().empty());
    writer.append_removed_spec(1);
    writer.append_removed_spec(2);
    EXPECT_FALSE(writer.empty());
    const std::string batch(writer.take());
    EXPECT_EQ(writer.last_sequence(), 43u);
    const Frame first = read_frame(std::as_bytes(std::span(batch)).data());
    EXPECT_EQ(first.sequence, 42u);
    EXPECT_EQ(first.left, 1u);
    EXPECT_EQ(first.epoch, 3u);
    EXPECT_TRUE(first.removed());
    EXPECT_EQ(first.kind(), RecordType::spec);
    EXPECT_TRUE(fits(model::encode_spec(test::spec_named("db"))));
    model::ServiceSpec large = test::spec_named("db");
    large.description.edit().assign(17u << 20, 'x');
    EXPECT_FALSE(fits(model::encode_spec(large)));
}

TEST(Compact, FigureForTenThousandServices) {
    Recovered state;
    state.instance.emplace();
    for (int i = 0; i < 10'000; ++i) {
        const model::ServiceSpec spec = test::spec_named("s" + std::to_string(i));
        state.services.push_back(test::running(spec, static_cast<std::uint64_t>(i) + 1));
        state.specs.emplace(model::spec_hash(spec), spec);
    }
    const auto start = std::chrono::steady_clock::now();
    Writer writer(Epoch{1});
    const std::string image(compact(writer, state, "0.1.0"));
    const auto middle = std::chrono::steady_clock::now();
    const Recovered after = read(image);
    const auto end = std::chrono::steady_clock::now();
    EXPECT_EQ(after.services.size(), 10'000u);
    const auto ms = [](auto time) { return std::chrono::duration<double, std::milli>(time).count(); };
    std::printf("    10,000 services, %.1f MB: written in %.1f ms, read in %.1f ms\n",
                static_cast<double>(image.size()) / 1e6, ms(middle - start), ms(end - middle));
}

}  // namespace
}  // namespace abide::journal
