// Reading: a journal that was cut off, bent or written by somebody else gives a prefix or an error line, never another
// state.
#include "journal/reader.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "journal/crc.hpp"
#include "unit/journal/random_model.hpp"
#include "unit/journal/small_journal.hpp"

namespace abide::journal {
namespace {

// The facts after each write, and for pid records, which may come at any time.
std::vector<std::string> prefixes(const std::vector<std::string>& writes) {
    std::vector<std::string> states = {test::facts(read(std::string_view{}))};
    std::string so_far;
    for (const std::string& write : writes) {
        so_far += write;
        states.push_back(test::facts(read(so_far)));
    }
    return states;
}

TEST(Reader, LastRecordOfEachKeyWins) {
    const Recovered recovered = read(test::joined(test::small_journal()));
    EXPECT_TRUE(recovered.problems.empty()) << recovered.problems[0];
    ASSERT_EQ(recovered.services.size(), 1u);
    EXPECT_EQ(recovered.services[0].name, "db");
    EXPECT_EQ(recovered.services[0].state, model::State::running);
    ASSERT_EQ(recovered.specs.size(), 1u);
    EXPECT_EQ(recovered.specs.begin()->second, test::spec_named("db"));
    EXPECT_EQ(recovered.instance->last_spawn, SpawnId{1});
    EXPECT_TRUE(recovered.operations.empty());
    EXPECT_EQ(recovered.environment.variables[2].value, "\xff\x01");
    EXPECT_EQ(recovered.boot->boot_id, "5f0c");
    EXPECT_EQ(recovered.descriptors.at(FdKey{0x1000'0000'0000'0007}).service, "db");
    EXPECT_EQ(recovered.pids.at(SpawnId{2}).pid, 4712);
    EXPECT_EQ(recovered.last_epoch, Epoch{1});
    EXPECT_EQ(recovered.last_sequence, 15u);
    EXPECT_EQ(recovered.statistics.valid_bytes, recovered.statistics.bytes);
    EXPECT_FALSE(recovered.refused);
    EXPECT_FALSE(recovered.must_compact);
}

TEST(Reader, PidRecordsAreFoundInAPieceThatBeginsAnywhere) {
    const std::string whole = test::joined(test::small_journal());
    const std::map<SpawnId, PidEntry> all = read_pids(whole);
    ASSERT_TRUE(all.contains(SpawnId{2}));
    EXPECT_EQ(all.at(SpawnId{2}).pid, 4712);
    PidRecord late = PidRecord::prepare(Epoch{1}, SpawnId{77});
    late.complete(4799);
    const std::string record(reinterpret_cast<const char*>(late.bytes.data()), late.bytes.size());
    for (std::size_t begin = 0; begin < whole.size(); begin += 7) {
        const std::map<SpawnId, PidEntry> found = read_pids(whole.substr(begin) + record);
        ASSERT_TRUE(found.contains(SpawnId{77})) << begin;
        EXPECT_EQ(found.at(SpawnId{77}).pid, 4799);
        // What is not there to its end was not told yet.
        EXPECT_FALSE(read_pids(whole.substr(begin) + record.substr(0, record.size() - 1)).contains(SpawnId{77}));
    }
}

TEST(Reader, CutAnywhereGivesTheStateAfterAWholeWrite) {
    const std::vector<std::string> writes = test::small_journal();
    const std::vector<std::string> states = prefixes(writes);
    const std::string all = test::joined(writes);
    std::size_t whole = 0, end = 0;
    for (std::size_t size = 0; size < all.size(); ++size) {
        while (whole < writes.size() && end + writes[whole].size() <= size) end += writes[whole++].size();
        const Recovered recovered = read(std::string_view(all).substr(0, size));
        ASSERT_EQ(test::facts(recovered), states[whole]) << "cut at byte " << size;
        ASSERT_EQ(recovered.statistics.valid_bytes, end) << "cut at byte " << size;
        ASSERT_EQ(recovered.must_compact, size != end) << "cut at byte " << size;
        ASSERT_EQ(recovered.problems.empty(), size == end) << "cut at byte " << size;
    }
}

// The records of a state, as text: a bit that was turned may take some away, but never make one that was not written.
std::set<std::string> records_of(const std::string& facts) {
    std::set<std::string> lines;
    std::istringstream text(facts);
    for (std::string line; std::getline(text, line);) lines.insert(line);
    return lines;
}

TEST(Reader, NoBitTurnedIsEverBelieved) {
    const std::vector<std::string> writes = test::small_journal();
    std::string all = test::joined(writes);
    std::set<std::string> written;
    for (const std::string& state : prefixes(writes)) written.merge(records_of(state));
    for (std::size_t bit = 0; bit < all.size() * 8; ++bit) {
        all[bit / 8] = static_cast<char>(all[bit / 8] ^ (1 << bit % 8));
        const Recovered recovered = read(all);
        ASSERT_FALSE(recovered.problems.empty()) << "bit " << bit;
        ASSERT_TRUE(recovered.must_compact) << "bit " << bit;
        for (const std::string& line : records_of(test::facts(recovered)))
            ASSERT_TRUE(written.contains(line)) << "bit " << bit << ": " << line;
        all[bit / 8] = static_cast<char>(all[bit / 8] ^ (1 << bit % 8));
    }
}

TEST(Reader, AnyBytesAreSurvived) {
    test::RandomModel random(3);
    const std::string all = test::joined(test::small_journal());
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = all;
        for (std::uint64_t changes = 1 + random.below(8); changes > 0; --changes) {
            const std::size_t at = random.below(bytes.size());
            switch (random.below(4)) {
                case 0: bytes[at] = static_cast<char>(random.below(256)); break;
                case 1: bytes.erase(at, random.below(100)); break;
                case 2: bytes.insert(at, all.substr(random.below(all.size()), random.below(200))); break;
                default: bytes.insert(at, random.below(64), '\0'); break;
            }
        }
        const Recovered recovered = read(bytes);
        ASSERT_LE(recovered.statistics.valid_bytes, bytes.size());
        ASSERT_FALSE(dump(recovered).empty());
    }
}

TEST(Reader, DamageInTheMiddleLosesThatRecordOnly) {
    std::vector<std::string> writes = test::small_journal();
    writes[1][kFrameBytes + 10] ^= 1;  // in the specification of db
    const Recovered recovered = read(test::joined(writes));
    EXPECT_EQ(recovered.statistics.damaged, 1u);
    EXPECT_EQ(recovered.services.size(), 1u);
    EXPECT_TRUE(recovered.specs.empty());
    EXPECT_TRUE(recovered.must_compact);
    ASSERT_EQ(recovered.problems.size(), 2u);
    EXPECT_NE(recovered.problems[0].find("damaged"), std::string::npos);
    EXPECT_EQ(recovered.problems[1], "1 record missing before record 6");
}

TEST(Reader, PidBehindATornWriteIsFound) {
    std::vector<std::string> writes = test::small_journal();
    const std::string torn = writes[3].substr(0, writes[3].size() / 2 + 3);
    const Recovered recovered = read(writes[0] + writes[1] + torn + test::pid_bytes(Epoch{1}, SpawnId{1}, 99) +
                                     test::pid_bytes(Epoch{1}, SpawnId{2}, 100));
    EXPECT_EQ(recovered.pids.at(SpawnId{1}).pid, 99);
    EXPECT_EQ(recovered.pids.at(SpawnId{2}).pid, 100);
    EXPECT_TRUE(recovered.must_compact);
}

TEST(Reader, ReplacedManagerIsNotListenedTo) {
    const std::vector<std::string> writes = test::small_journal();
    Writer second(Epoch{2}, 15);
    second.append_service(test::running(test::spec_named("db"), 5));
    const std::string by_second(second.take());
    Writer late(Epoch{1}, 15);
    late.append_removed_service("db");
    const std::string by_first(late.take());
    // Its children still are: the process exists, whoever asked for it.
    const Recovered recovered =
        read(test::joined(writes) + by_second + by_first + test::pid_bytes(Epoch{1}, SpawnId{3}, 4713));
    ASSERT_EQ(recovered.services.size(), 1u);
    EXPECT_EQ(recovered.services[0].runs[0].processes[0].spawn, SpawnId{5});
    EXPECT_EQ(recovered.statistics.stale, 1u);
    EXPECT_EQ(recovered.problems.size(), 1u);
    EXPECT_EQ(recovered.pids.at(SpawnId{3}).pid, 4713);
    EXPECT_EQ(recovered.last_epoch, Epoch{2});
}

TEST(Reader, HalfABatchOfADeadManagerIsDropped) {
    const std::vector<std::string> writes = test::small_journal();
    Writer first(Epoch{1}, 15);
    first.append_removed_service("db");
    const std::size_t one = std::string(first.take()).size();
    Writer again(Epoch{1}, 15);
    again.append_removed_service("db");
    again.append_instance({});
    const std::string half = std::string(again.take()).substr(0, one);
    Writer second(Epoch{2}, 15);
    second.append_boot({.boot_id = "other"});
    const Recovered recovered = read(test::joined(writes) + half + std::string(second.take()));
    EXPECT_EQ(recovered.services.size(), 1u);
    EXPECT_EQ(recovered.boot->boot_id, "other");
    EXPECT_EQ(recovered.statistics.incomplete, 1u);
}

TEST(Reader, NewerFormatIsRefused) {
    Writer writer(Epoch{1});
    writer.append_header({kMagic, 9, 2, 2, "9.0"});
    EXPECT_TRUE(read(writer.take()).refused);
    writer.append_header({kMagic, 9, 1, 2, "9.0"});
    const Recovered readable = read(writer.take());
    EXPECT_FALSE(readable.refused);
    EXPECT_TRUE(readable.must_compact);
    writer.append_header({"something else", 1, 1, 1, "0.1.0"});
    EXPECT_TRUE(read(writer.take()).refused);
}

TEST(Reader, WhatIsNotUnderstoodIsPutAside) {
    Writer writer(Epoch{1});
    writer.append_header(own_header("0.1.0"));
    model::Service service;
    service.name = "db";
    writer.append_service(service);
    std::string image(writer.take());
    // A later version has a state of its own.
    const std::string payload = R"({"name":"db","state":"levitating"})";
    append_frame(image, {.length = static_cast<std::uint32_t>(payload.size()),
                         .type = 3,
                         .schema = 2,
                         .epoch = 1,
                         .sequence = 3,
                         .key = name_key("db")});
    const std::size_t start = image.size() - kFrameBytes;
    image += payload;
    seal_batch(image, std::array{start});
    const Recovered recovered = read(image);
    EXPECT_TRUE(recovered.services.empty());
    EXPECT_EQ(recovered.statistics.undecodable, 1u);
    EXPECT_EQ(recovered.kept.records.at(record_key(RecordType::service, name_key("db"))).payload, payload);
    ASSERT_EQ(recovered.problems.size(), 1u);
    EXPECT_NE(recovered.problems[0].find("state \"levitating\""), std::string::npos) << recovered.problems[0];
}

TEST(Reader, DumpHidesValuesOfEnvironments) {
    const std::string text = dump(read(test::joined(test::small_journal())));
    EXPECT_NE(text.find("environment SECRET"), std::string::npos);
    EXPECT_NE(text.find("TOKEN"), std::string::npos);
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
    EXPECT_EQ(text.find("from-the-specification"), std::string::npos);
}

TEST(Frame, ChecksumsAgreeAndAreCrc32c) {
    const std::string digits = "123456789";
    EXPECT_EQ(crc32c_plain(digits.data(), digits.size()), 0xe3069283u);
    test::RandomModel random(5);
    for (std::size_t size = 0; size < 100; ++size) {
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.below(256));
        EXPECT_EQ(crc32c(std::as_bytes(std::span(bytes))), crc32c_plain(bytes.data(), bytes.size()));
        EXPECT_EQ(crc32c_by_tables(std::as_bytes(std::span(bytes))), crc32c_plain(bytes.data(), bytes.size()));
    }
}

TEST(Frame, PidRecordIsConstant) {
    constexpr PidRecord kRecord = [] {
        PidRecord record = PidRecord::prepare(Epoch{7}, SpawnId{0x0102030405060708});
        record.complete(4711);
        return record;
    }();
    const Recovered recovered = read(std::span<const std::byte>(kRecord.bytes));
    const PidEntry expected{SpawnId{0x0102030405060708}, Epoch{7}, 4711};
    ASSERT_EQ(recovered.pids.size(), 1u);
    EXPECT_EQ(recovered.pids.begin()->second, expected);
    EXPECT_EQ(PidRecord::kBytes, 64u);
}

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// Journals of earlier versions are read for ever: these files are never written again, new ones come beside them.
TEST(Golden, JournalsReadAsTheyDid) {
    const std::string folder = std::string(ABIDE_SOURCE_DIR) + "/tests/fixtures/journal/";
    for (const char* name : {"0.1-small", "0.1-torn", "0.1-newer"}) {
        const std::string journal = slurp(folder + name + ".journal");
        ASSERT_FALSE(journal.empty()) << name;
        EXPECT_EQ(dump(read(journal)), slurp(folder + name + ".dump")) << name;
    }
}

TEST(Golden, ThisVersionStillWritesTheSameBytes) {
    const std::string folder = std::string(ABIDE_SOURCE_DIR) + "/tests/fixtures/journal/";
    EXPECT_EQ(test::joined(test::small_journal()), slurp(folder + "0.1-small.journal"));
}

}  // namespace
}  // namespace abide::journal
