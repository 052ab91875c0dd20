// What a bundle says, made fit for a folder and a control group of ours; every wrong one is refused with its reason.
#include "oci/bundle.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace abide::oci {
namespace {

std::string good(const std::string& more = "") {
    return R"({"ociVersion":"1.0.0","process":{"args":["sh"]},"root":{"path":"rootfs"})" + more + "}";
}

boost::json::object derived(const std::string& config, const Place& place) {
    const Result<Derived> made = derive_config(config, place);
    EXPECT_TRUE(made) << (made ? "" : made.error().what);
    return made ? boost::json::parse(made->config).get_object() : boost::json::object{};
}

TEST(Bundle, RelativePlacesBecomeAbsoluteAndAbsoluteOnesStay) {
    const auto mounts = R"(,"mounts":[{"destination":"/a","type":"bind","source":"data"},
        {"destination":"/b","source":"/abs","options":["rbind"]},
        {"destination":"/c","options":["rbind","ro"],"source":"x/y"},
        {"destination":"/proc","type":"proc","source":"proc"}])";
    const boost::json::object made = derived(good(mounts), {"/srv/box", ""});
    EXPECT_EQ(made.at("root").at("path"), "/srv/box/rootfs");
    const auto& list = made.at("mounts").get_array();
    EXPECT_EQ(list[0].at("source"), "/srv/box/data");
    EXPECT_EQ(list[1].at("source"), "/abs");
    EXPECT_EQ(list[2].at("source"), "/srv/box/x/y");
    EXPECT_EQ(list[3].at("source"), "proc");
    EXPECT_FALSE(made.contains("linux"));
}

TEST(Bundle, TheControlGroupIsOursAndTheRestIsKept) {
    const boost::json::object made =
        derived(good(R"(,"linux":{"cgroupsPath":"/theirs","namespaces":[{"type":"pid"}]},"annotations":{"a":"b"})"),
                {"/srv/box", "/abide-x/box/r1.main/container"});
    EXPECT_EQ(made.at("linux").at("cgroupsPath"), "/abide-x/box/r1.main/container");
    EXPECT_EQ(made.at("linux").at("namespaces").get_array().size(), 1u);
    EXPECT_EQ(made.at("annotations").at("a"), "b");
    EXPECT_EQ(made.at("ociVersion"), "1.0.0");
}

TEST(Bundle, WrongOnesAreRefusedWithTheirReason) {
    const auto reason = [](const std::string& config) {
        const Result<Derived> made = derive_config(config, {"/srv/box", ""});
        return made ? std::string("accepted") : made.error().what;
    };
    EXPECT_NE(reason("").find("not JSON"), std::string::npos);
    EXPECT_NE(reason(good().substr(0, 30)).find("not JSON"), std::string::npos);
    EXPECT_NE(reason("[1]").find("not a JSON object"), std::string::npos);
    EXPECT_NE(reason(R"({"root":{"path":"x"}})").find("process"), std::string::npos);
    EXPECT_NE(reason(R"({"process":{"args":[]},"root":{"path":"x"}})").find("args"), std::string::npos);
    EXPECT_NE(reason(R"({"process":{"args":["x"]}})").find("root.path"), std::string::npos);
    EXPECT_NE(reason(R"({"process":{"args":["x"],"terminal":1},"root":{"path":"x"}})").find("terminal"),
              std::string::npos);
}

TEST(Bundle, ATerminalIsLeftInAndTold) {
    const auto terminal = [](const std::string& value) {
        const std::string config = R"({"process":{"args":["x"],"terminal":)" + value + R"(},"root":{"path":"x"}})";
        const Result<Derived> made = derive_config(config, {"/srv/box", ""});
        return made && made->terminal && made->config.find("\"terminal\":true") != std::string::npos;
    };
    EXPECT_TRUE(terminal("true"));
    EXPECT_FALSE(terminal("false"));
    const std::vector<std::string> words = create_words_with_console("crun", "id", "/f");
    EXPECT_EQ(words,
              (std::vector<std::string>{"crun", "--log", "/f/failure", "--log-format", "json", "create", "--bundle",
                                        "/f", "--pid-file", "/f/pid", "--console-socket", "console", "id"}));
}

TEST(Failure, IsTheLastThingThatARuntimeSaid) {
    EXPECT_EQ(failure_of(""), "");
    EXPECT_EQ(failure_of("not JSON\n[]\n{}\n"), "");
    EXPECT_EQ(failure_of(failure_line("a \"word\"\n")), "a \"word\"\n");
    const std::string log = R"({"level":"error","msg":"first"})"
                            "\n"
                            R"({"msg":"exec: no such file","level":"error","time":"2026-01-01"})"
                            "\n"
                            R"({"msg":"besides","level":"warning"})"
                            "\n"
                            R"({"msg":"cut in the mid)";
    EXPECT_EQ(failure_of(log), "exec: no such file");
}

TEST(Failure, TheSecondDeleteIsOneWithoutHooks) {
    EXPECT_EQ(helper_delete_words("crun", "id", "/f", false).size() + 1,
              helper_delete_words("crun", "id", "/f", true).size());
    EXPECT_EQ(helper_delete_words("crun", "id", "/f", true).back(), kWithoutHooks);
}

TEST(ContainerId, IsPlainAndOfOneInstance) {
    const std::string one = container_id("/run/abide/a", "web@1"), other = container_id("/run/abide/b", "web@1");
    EXPECT_TRUE(one.starts_with("web_1-"));
    EXPECT_NE(one, other);
    EXPECT_EQ(one, container_id("/run/abide/a", "web@1"));
    EXPECT_NE(container_id("/r", "web_1"), container_id("/r", "web@1")) << "names that look alike are told apart";
    EXPECT_LE(container_id("/r", std::string(300, 'x')).size(), 80u);
}

TEST(State, OfBothRuntimes) {
    const auto crun =
        parse_state(R"({"ociVersion":"1.0.0","id":"b","pid":8,"status":"created","bundle":"/b","owner":"root"})");
    ASSERT_TRUE(crun);
    EXPECT_EQ(crun->status, "created");
    EXPECT_EQ(crun->pid, 8);
    EXPECT_EQ(crun->bundle, "/b");
    EXPECT_FALSE(parse_state("container does not exist"));
    EXPECT_FALSE(parse_state("{}"));
    EXPECT_EQ(parse_state(R"({"status":"stopped","pid":-5})")->pid, 0);
}

}  // namespace
}  // namespace abide::oci
