// What an HTTP probe asks, and how it reads the first line of an answer that comes in pieces.
#include "manager/probe_target.hpp"

#include <gtest/gtest.h>

using namespace abide::manager;

TEST(HttpTarget, TakesHostPortPathAndQuery) {
    const auto target = parse_http_target("http://127.0.0.1:8080/health?deep=1#top");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->host_port, "127.0.0.1:8080");
    EXPECT_EQ(target->path, "/health?deep=1");
    EXPECT_EQ(parse_http_target("http://[::1]")->host_port, "[::1]:80");
    EXPECT_EQ(parse_http_target("http://localhost?x")->path, "/?x");
}

TEST(HttpTarget, RefusesWhatCouldBecomeASecondHeader) {
    EXPECT_FALSE(parse_http_target("http://a/\r\nEvil: 1"));
    EXPECT_FALSE(parse_http_target("http://a b/"));
    EXPECT_FALSE(parse_http_target("http://user@a/"));
    EXPECT_FALSE(parse_http_target("https://a/"));
    EXPECT_FALSE(parse_http_target("http://"));
}

TEST(HttpTarget, TheRequestNamesTheHostAsWritten) {
    const std::string request = http_request(*parse_http_target("http://localhost:81/x"));
    EXPECT_TRUE(request.starts_with("GET /x HTTP/1.1\r\nHost: localhost:81\r\n"));
    EXPECT_TRUE(request.ends_with("\r\n\r\n"));
}

TEST(HttpStatus, WaitsForTheWholeStatus) {
    const std::string reply = "HTTP/1.1 204 No Content\r\n";
    for (std::size_t n = 0; n < 12; ++n) EXPECT_EQ(http_status(reply.substr(0, n)), std::nullopt) << n;
    EXPECT_EQ(http_status(reply.substr(0, 12)), 204);
    EXPECT_EQ(http_status("SSH-2.0-OpenSSH"), 0);
    EXPECT_EQ(http_status("HTTP/1.1 xyz"), 0);
    EXPECT_EQ(http_status("HTTP/1.0 503 Busy"), 503);
}
