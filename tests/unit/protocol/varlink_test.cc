// The wire of varlink: any cut of the stream, garbage, bounds, and org.varlink.service.
#include "protocol/varlink.hpp"

#include <gtest/gtest.h>

namespace abide::varlink {
namespace {

std::vector<std::string> take_all(MessageReader& reader) {
    std::vector<std::string> out;
    while (const auto message = reader.next()) out.emplace_back(*message);
    return out;
}

TEST(MessageReader, EveryCutOfTheStreamGivesTheSameMessages) {
    const std::string stream =
        build_call("a.b.C", "{\"x\":1}") + std::string("\0", 1) + build_reply("{}", true) + "half";
    for (std::size_t first = 0; first <= stream.size(); ++first) {
        for (std::size_t second = first; second <= stream.size(); ++second) {
            MessageReader reader;
            std::vector<std::string> seen;
            for (const std::string& part :
                 {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)}) {
                ASSERT_TRUE(reader.feed(part));
                for (std::string& one : take_all(reader)) seen.push_back(std::move(one));
            }
            ASSERT_EQ(seen.size(), 3u);
            EXPECT_EQ(seen[0], "{\"method\":\"a.b.C\",\"parameters\":{\"x\":1}}");
            EXPECT_EQ(seen[1], "");
            EXPECT_EQ(seen[2], "{\"parameters\":{},\"continues\":true}");
            EXPECT_EQ(reader.pending(), "half");
        }
    }
}

TEST(MessageReader, ManyMessagesWithoutTakingThemAllAtOnce) {
    MessageReader reader;
    std::size_t seen = 0;
    for (int round = 0; round < 200; ++round) {
        ASSERT_TRUE(reader.feed(std::string("one\0two\0th", 10)));
        ASSERT_TRUE(reader.next().has_value());
        ++seen;
        ASSERT_TRUE(reader.feed(std::string("ree\0", 4)));
        while (const auto message = reader.next()) {
            EXPECT_TRUE(*message == "two" || *message == "three");
            ++seen;
        }
    }
    EXPECT_EQ(seen, 600u);
}

TEST(MessageReader, AMessageBeyondTheLimitIsRefusedBeforeItIsKept) {
    MessageReader reader(100);
    const std::string half(60, 'x');
    ASSERT_TRUE(reader.feed(half));
    const Status second = reader.feed(half);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::refused);
    EXPECT_LE(reader.pending().size(), 100u);

    MessageReader exact(100);
    EXPECT_TRUE(exact.feed(std::string(100, 'x') + '\0'));
    MessageReader inside(100);
    EXPECT_FALSE(inside.feed(std::string("ok\0", 3) + std::string(101, 'x') + '\0'));
}

TEST(MessageReader, AGibibyteIsRefusedAfterTheLimit) {
    MessageReader reader(limits::kRequestBytes);
    const std::string block(64u << 10, 'x');
    std::size_t fed = 0;
    while (fed < (1u << 30) && reader.feed(block)) fed += block.size();
    EXPECT_EQ(fed, limits::kRequestBytes);
    EXPECT_LE(reader.pending().size(), limits::kRequestBytes);
}

TEST(ParseCall, AbsentNullAndEmptyParametersAreTheSame) {
    for (const char* text :
         {R"({"method":"a.B"})", R"({"method":"a.B","parameters":null})", R"({"method":"a.B","parameters":{}})"}) {
        const auto call = parse_call(text);
        ASSERT_TRUE(call) << text;
        EXPECT_EQ(call->method, "a.B");
        EXPECT_TRUE(call->parameters.empty());
        EXPECT_FALSE(call->more || call->oneway || call->upgrade);
    }
    const auto flags = parse_call(R"({"method":"a.B","more":true,"oneway":true,"upgrade":true,"unknown":[1]})");
    ASSERT_TRUE(flags);
    EXPECT_TRUE(flags->more && flags->oneway && flags->upgrade);
}

TEST(ParseCall, GarbageIsRefused) {
    const std::string deep(10'000, '[');
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("7"), std::string("{}"),
          std::string(R"({"method":7})"), std::string(R"({"method":"a","parameters":[]})"),
          std::string(R"({"method":"a","more":1})"), std::string("{\"method\":\"\xff\"}"), deep}) {
        const auto call = parse_call(text);
        ASSERT_FALSE(call) << text.substr(0, 40);
        EXPECT_EQ(call.error().kind, ErrorKind::refused);
    }
}

TEST(ParseReply, RoundTrip) {
    std::string message = build_reply("{\"a\":[1,2]}", true);
    ASSERT_EQ(message.back(), '\0');
    message.pop_back();
    const auto reply = parse_reply(message);
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->continues);
    EXPECT_TRUE(reply->error.empty());
    EXPECT_EQ(reply->parameters.at("a").as_array().size(), 2u);

    std::string error = method_not_found("x.Y");
    error.pop_back();
    const auto refused = parse_reply(error);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error, kMethodNotFound);
    EXPECT_EQ(refused->parameters.at("method").as_string(), "x.Y");
}

TEST(AnswerService, Methods) {
    constexpr Interface kOurs[] = {{"io.test.One", "interface io.test.One\n"}};
    const ServiceInfo info{"v", "p", "1", "u", kOurs};
    const auto ask = [&](const std::string& text) {
        return answer_service(*parse_call(text), info).value_or("(ours)");
    };
    const auto has = [](const std::string& reply, const std::string& part) {
        return reply.find(part) != std::string::npos;
    };

    const std::string got = ask(R"({"method":"org.varlink.service.GetInfo"})");
    EXPECT_TRUE(has(got, R"("interfaces":["org.varlink.service","io.test.One"])")) << got;
    EXPECT_TRUE(
        has(ask(R"({"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.test.One"}})"),
            R"({"description":"interface io.test.One\n"})"));
    EXPECT_TRUE(has(
        ask(R"({"method":"org.varlink.service.GetInterfaceDescription",)"
            R"("parameters":{"interface":"org.varlink.service"}})"),
        "interface org.varlink.service"));
    EXPECT_TRUE(has(ask(R"({"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"x.y"}})"),
                    kInterfaceNotFound.data()));
    EXPECT_TRUE(has(ask(R"({"method":"org.varlink.service.GetInterfaceDescription"})"), kInvalidParameter.data()));
    EXPECT_TRUE(has(ask(R"({"method":"org.varlink.service.Nothing"})"), kMethodNotFound.data()));
    EXPECT_TRUE(has(ask(R"({"method":"x.y.Z"})"), kInterfaceNotFound.data()));
    EXPECT_TRUE(has(ask(R"({"method":"nodot"})"), kInvalidParameter.data()));
    EXPECT_EQ(ask(R"({"method":"io.test.One.Do"})"), "(ours)");
}

TEST(AppendJsonString, AnyBytesGiveValidJson) {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second), 'z'};
            std::string json;
            append_json_string(json, text);
            boost::json::error_code error;
            const auto value = boost::json::parse(json, error);
            ASSERT_FALSE(error) << first << ' ' << second;
            ASSERT_EQ(json.find('\0'), std::string::npos);
            if (first < 0x80 && second < 0x80) {
                ASSERT_EQ(value.as_string(), text);
            }
        }
    }
    std::string json;
    append_json_string(json, "gr\u00fc\u00df \U0001F600 \xed\xa0\x80");
    EXPECT_EQ(json, "\"gr\u00fc\u00df \U0001F600 \uFFFD\uFFFD\uFFFD\"");
}

}  // namespace
}  // namespace abide::varlink
