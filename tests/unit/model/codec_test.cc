// The codec: what is written reads back as it was, for every struct and the hard corners; what is wrong is refused by
// path.
#include "model/codec.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "base/text.hpp"
#include "unit/journal/random_model.hpp"

namespace abide::model {
namespace {

template <class T>
std::string text_of(const T& value) {
    std::string text;
    encode(text, value);
    return text;
}

template <class T>
class EveryStruct : public testing::Test {};
using Structs =
    testing::Types<Command, Variable, Dependency, Probe, ReadySpec, HealthSpec, StopSpec, ExitMatch, RestartSpec,
                   ReloadSpec, Identity, ResourceLimit, Limits, Sandbox, LogSpec, SocketSpec, Hooks, SourcePosition,
                   ServiceSpec, InstanceSpec, Configuration, ResourceUsage, ExitStatus, Process, Run, PastRun, Service,
                   Requester, TargetResult, Operation, Instance>;
TYPED_TEST_SUITE(EveryStruct, Structs);

TYPED_TEST(EveryStruct, RandomValuesComeBack) {
    test::RandomModel random(20261121);
    for (int round = 0; round < 300; ++round) {
        const auto value = random.make<TypeParam>();
        const std::string text = text_of(value);
        ASSERT_TRUE(is_utf8(text));
        const Result<TypeParam> back = decode<TypeParam>(text);
        ASSERT_TRUE(back.has_value()) << back.error().what << "\n" << text;
        ASSERT_EQ(*back, value) << text;
        ASSERT_EQ(text_of(*back), text);
    }
}

TYPED_TEST(EveryStruct, DefaultsAreLeftOut) {
    EXPECT_EQ(text_of(TypeParam{}), "{}");
    const Result<TypeParam> back = decode<TypeParam>("{}");
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, TypeParam{});
}

TYPED_TEST(EveryStruct, ShortenedTextIsRefused) {
    test::RandomModel random(7);
    const std::string text = text_of(random.make<TypeParam>());
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_FALSE(decode<TypeParam>(std::string_view(text).substr(0, size)).has_value()) << size;
    }
}

TYPED_TEST(EveryStruct, ChangedTextNeverCrashes) {
    test::RandomModel random(11);
    for (int round = 0; round < 40; ++round) {
        std::string text = text_of(random.make<TypeParam>());
        for (int change = 0; change < 20; ++change) {
            text[random.below(text.size())] = "{}[]\",:0-9eatrue\\u\xff"[random.below(19)];
            Unknown unknown;
            if (const auto value = decode<TypeParam>(text, unknown)) {
                std::string again;
                encode(again, *value, unknown);
                EXPECT_TRUE(decode<TypeParam>(again).has_value()) << text << "\n" << again;
            }
        }
    }
}

// What is scanned is what the reader of any JSON reads.
template <class T>
void expect_one_meaning(const std::string& text) {
    Unknown scanned, read;
    const Result<T> fast = decode<T>(text, scanned);
    const Result<T> slow = detail::decode_any<T>(text, &read);
    ASSERT_EQ(fast.has_value(), slow.has_value()) << text;
    if (!fast) return;
    EXPECT_EQ(*fast, *slow) << text;
    std::string with_scanned, with_read;
    encode(with_scanned, *fast, scanned);
    encode(with_read, *slow, read);
    EXPECT_EQ(with_scanned, with_read);
}

TYPED_TEST(EveryStruct, AScanReadsWhatTheReaderOfAnyJsonReads) {
    test::RandomModel random(12);
    for (int round = 0; round < 40; ++round) {
        std::string text = text_of(random.make<TypeParam>());
        // Without what ends a scan at once, so that it comes far.
        for (char& c : text) {
            if (c == '\\' || static_cast<unsigned char>(c) >= 0x80) c = 'x';
        }
        expect_one_meaning<TypeParam>(text);
        for (int change = 0; change < 20; ++change) {
            text[random.below(text.size())] = "{}[]\",:0-9eatrue\\u\xff"[random.below(19)];
            expect_one_meaning<TypeParam>(text);
        }
    }
}

TEST(Codec, FormIsAsDocumented) {
    Service service;
    service.name = "db@1";
    service.want = Want::up;
    service.want_reason = Reason::restart_policy;
    service.backoff_until = Mono{1'500'000'000};
    service.runs.push_back({.number = RunNumber{3}, .spec = 0xffff'ffff'ffff'ffff});
    EXPECT_EQ(text_of(service), R"({"name":"db@1","want":"up","want_reason":"restart-policy",)"
                                R"("runs":[{"number":3,"spec":"18446744073709551615"}],"backoff_until":1500000000})");
    StopSpec stop;
    stop.final_ = StopFinal::never;
    EXPECT_EQ(text_of(stop), R"({"final":"never"})");
    Dependency dependency;
    dependency.relation = Relation::part_of;
    EXPECT_EQ(text_of(dependency), R"({"relation":"part-of"})");
}

TEST(Codec, BytesThatAreNotUtf8) {
    for (int length = 1; length < 6; ++length) {
        const Variable variable{"PATH", std::string(static_cast<std::size_t>(length), '\xff')};
        const std::string text = text_of(variable);
        EXPECT_NE(text.find("$b64"), std::string::npos);
        EXPECT_EQ(decode<Variable>(text).value(), variable);
    }
    EXPECT_EQ(text_of(Variable{"a", "\xff"}), R"({"name":"a","value":{"$b64":"/w=="}})");
    EXPECT_FALSE(decode<Variable>(R"({"value":{"$b64":"/x=="}})").has_value());  // bits behind the end
    EXPECT_FALSE(decode<Variable>(R"({"value":{"$b64":"/w="}})").has_value());
    EXPECT_FALSE(decode<Variable>(R"({"value":{"$b64":"=w=="}})").has_value());
    EXPECT_FALSE(decode<Variable>(R"({"value":{"$b64":"/w==","x":1}})").has_value());
}

TEST(Codec, IntegersAreTakenInBothFormsAndChecked) {
    EXPECT_EQ(decode<model::Run>(R"({"spec":"9007199254740993"})")->spec, 9007199254740993u);
    EXPECT_EQ(decode<model::Run>(R"({"spec":9007199254740993})")->spec, 9007199254740993u);
    EXPECT_EQ(decode<model::Run>(R"({"started":"-9223372036854775808"})")->started.ns,
              std::numeric_limits<std::int64_t>::min());
    for (const char* wrong : {R"({"spec":-1})", R"({"spec":1.5})", R"({"spec":"1 "})", R"({"spec":""})",
                              R"({"spec":"18446744073709551616"})", R"({"error_number":2147483648})",
                              R"({"health_streak":"-1"})", R"({"spec":null})", R"({"spec":true})"}) {
        EXPECT_FALSE(decode<model::Run>(wrong).has_value()) << wrong;
    }
}

TEST(Codec, ErrorsNameThePath) {
    const auto what = [](std::string_view text) { return decode<Configuration>(text).error().what; };
    EXPECT_EQ(what(R"({"services":[{},{"stop":{"signal":"TERM"}}]})"),
              "services[1].stop.signal must be a whole number that fits, not a string");
    EXPECT_EQ(what(R"({"services":[{"restart":"sometimes"}]})"), "services[0].restart \"sometimes\" is not known here");
    EXPECT_EQ(what(R"({"services":{}})"), "services must be a list, not an object");
    EXPECT_EQ(what(R"([])"), "the value must be an object, not a list");
    EXPECT_EQ(what(R"({"services":[{"command":{"argv":["a",1]}}]})"),
              "services[0].command.argv[1] must be a string, not a whole number");
    EXPECT_EQ(decode<Configuration>("{").error().kind, ErrorKind::usage);
}

TEST(Codec, DepthAndMemoryAreBounded) {
    EXPECT_FALSE(decode<Command>("{\"x\":" + std::string(1000, '[') + std::string(1000, ']') + "}").has_value());
    // Three bytes of text may not become hundreds of bytes of memory each, without end.
    std::string many = "{\"runs\":[{}";
    for (int i = 0; i < 400'000; ++i) many += ",{}";
    many += "]}";
    EXPECT_NE(decode<Service>(many).error().what.find("memory"), std::string::npos);
    EXPECT_FALSE(decode<Command>(std::string((16u << 20) + 1, ' ')).has_value());
}

TEST(Codec, MembersInAnyOrderAndTwice) {
    const Result<model::Run> run =
        decode<model::Run>(R"({"probe":5,"number":2,"state":"running","extra":[1],"number":3})");
    ASSERT_TRUE(run.has_value()) << run.error().what;
    EXPECT_EQ(run->number, RunNumber{3});
    EXPECT_EQ(run->state, State::running);
    EXPECT_EQ(run->probe, 5u);
}

TEST(Codec, UnknownMembersAreWrittenBackWhereTheyWere) {
    const std::string_view text = R"({"name":"db","state":"running","runs":[{"number":1,"new":true},{"number":2,)"
                                  R"("processes":[{"spawn":9,"core":[1,{"a":"b"}]}]}],)"
                                  R"("last_exit":{"kind":"code","why":"x"},"score":1.5,"tags":["a"]})";
    Unknown unknown;
    Result<Service> service = decode<Service>(text, unknown);
    ASSERT_TRUE(service.has_value()) << service.error().what;
    std::string again;
    encode(again, *service, unknown);
    Unknown second;
    ASSERT_EQ(decode<Service>(again, second).value(), *service);
    EXPECT_EQ(unknown.members, R"("score":1.5E0,"tags":["a"])");
    // After a run has gone, what belonged to the other one stays with it.
    service->runs.erase(service->runs.begin());
    again.clear();
    encode(again, *service, unknown);
    EXPECT_EQ(again,
              R"({"name":"db","state":"running","runs":[{"number":2,"processes":[{"spawn":9,"core":[1,{"a":"b"}]}]}],)"
              R"("last_exit":{"kind":"code","why":"x"},"score":1.5E0,"tags":["a"]})");
    EXPECT_FALSE(unknown.critical());
}

TEST(Codec, UnknownMemberBelowADefaultOne) {
    Unknown unknown;
    const Result<ServiceSpec> spec = decode<ServiceSpec>(R"({"name":"a","source":{"column":3}})", unknown);
    ASSERT_TRUE(spec.has_value());
    std::string again;
    encode(again, *spec, unknown);
    EXPECT_EQ(again, R"({"name":"a","source":{"column":3}})");
}

TEST(Codec, UnknownNumbersAreKeptOrRefused) {
    for (const char* lossy : {R"({"x":18446744073709551616})", R"({"x":[{"y":1e999}]})",
                              R"({"runs":[{"number":1,"x":-9223372036854775809}]})"}) {
        Unknown unknown;
        EXPECT_FALSE(decode<Service>(lossy, unknown).has_value()) << lossy;
        EXPECT_TRUE(decode<Service>(lossy).has_value()) << lossy;
    }
    Unknown unknown;
    ASSERT_TRUE(decode<Service>(R"({"x":18446744073709551615,"y":-9223372036854775808,"z":0.1})", unknown).has_value());
    EXPECT_EQ(unknown.members, R"("x":18446744073709551615,"y":-9223372036854775808,"z":1E-1)");
}

TEST(Codec, CriticalMembersAreSeen) {
    Unknown unknown;
    ASSERT_TRUE(decode<Service>(R"({"runs":[{"number":1,"x":1,"!hold":true}]})", unknown).has_value());
    EXPECT_TRUE(unknown.critical());
}

TEST(Codec, SpecHashTellsSpecificationsApart) {
    ServiceSpec a;
    a.name = "a";
    ServiceSpec b = a;
    EXPECT_EQ(spec_hash(a), spec_hash(b));
    b.stop.ensure();
    EXPECT_NE(spec_hash(a), spec_hash(b));
    // The hash names records in journals that exist: it must never change.
    EXPECT_EQ(spec_hash(a), fnv1a(R"({"name":"a"})"));
    EXPECT_EQ(fnv1a("foobar"), 0x85944171f73967e8u);
}

// Many bytes are looked at as one.
TEST(Codec, TextsAreEscapedTheSameAtEveryPlace) {
    for (const std::string_view odd : {"\"", "\\", "\n", "\x01", "\x7F", "\xC3\xA4", "\xFF"}) {
        for (std::size_t at = 0; at < 40; ++at) {
            ServiceSpec spec;
            spec.name = std::string(40, 'a').replace(at, 1, odd);
            std::string text;
            encode(text, spec);
            const auto again = decode<ServiceSpec>(text);
            ASSERT_TRUE(again.has_value()) << text;
            EXPECT_EQ(again->name, spec.name);
        }
    }
    ServiceSpec spec;
    spec.name = "a\"\\\tb";
    std::string text;
    encode(text, spec);
    EXPECT_EQ(text, R"({"name":"a\"\\\tb"})");
}

TEST(Codec, SpecHashIsThatOfTheTextWithoutItsPlace) {
    ServiceSpec spec;
    spec.name = "a";
    // What looks like the member that is left out stands in a text.
    spec.description = "},\"source\":{";
    std::string plain;
    encode(plain, spec);
    EXPECT_EQ(spec_hash(spec), fnv1a(plain));
    spec.source = {",\"source\":.toml", 7, 1};
    const SpecText placed = encode_spec(spec);
    EXPECT_EQ(placed.hash, fnv1a(plain));
    std::string text;
    encode(text, spec);
    EXPECT_EQ(placed.text, text);
}

Service typical_service() {
    Service service;
    service.name = "web-frontend";
    service.spec = 0x1234567890abcdef;
    service.want = Want::up;
    service.want_reason = Reason::autostart;
    service.state = State::running;
    service.since = {1'795'000'000'123'456'789};
    service.last_run = RunNumber{4};
    service.last_exit = ExitStatus{ExitKind::signal, 9, false, {1'795'000'000'000'000'000}, {12'000, 3000, 20'480}};
    service.restarts = 3;
    model::Run run;
    run.number = RunNumber{4};
    run.state = State::running;
    run.spec = service.spec;
    run.processes = {{SpawnId{812}, Role::main, ProcessState::alive, 48'211, 993'812, 0, false}};
    run.populated = run.ready = run.was_ready = run.cgroup = true;
    run.start_reason = Reason::restart_policy;
    run.started_at = run.state_since = run.ready_at = service.since;
    run.started = {88'123'456'789};
    run.log_key = 0x1000000000000123;
    service.runs = {run};
    for (std::uint64_t i = 1; i < 4; ++i) {
        service.past.push_back(
            {RunNumber{i}, service.since, service.since, Reason::exited, "signal 9", service.last_exit});
    }
    return service;
}

TEST(Codec, ATypicalServiceIsScannedAsItIsRead) {
    const std::string text = text_of(typical_service());
    expect_one_meaning<Service>(text);
    EXPECT_EQ(decode<Service>(text).value(), typical_service());
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (const char c : std::string_view("\"\\{}[],:-0 1a\n\x80")) {
            std::string changed = text;
            changed[at] = c;
            expect_one_meaning<Service>(changed);
        }
        expect_one_meaning<Service>(text.substr(0, at));
        expect_one_meaning<Service>(text.substr(0, at) + " " + text.substr(at));
    }
}

TEST(Codec, FigureForATypicalService) {
    const Service service = typical_service();
    std::string text;
    constexpr int kRounds = 20'000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) {
        text.clear();
        encode(text, service);
    }
    const auto middle = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) ASSERT_TRUE(decode<Service>(text).has_value());
    const auto end = std::chrono::steady_clock::now();
    const auto each = [](auto time) { return std::chrono::duration<double, std::micro>(time).count() / kRounds; };
    std::printf("    a service of %zu bytes: encode %.2f us, decode %.2f us\n", text.size(), each(middle - start),
                each(end - middle));
    EXPECT_EQ(decode<Service>(text).value(), service);
}

}  // namespace
}  // namespace abide::model
