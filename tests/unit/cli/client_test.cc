// The client against servers that answer, stall, lie, hang up, and come back as somebody new.
#include "cli/client.hpp"

#include <thread>

#include "kernel/clock.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "unit/cli/scratch.hpp"

namespace abide::cli {
namespace {

// Serves the scripted connections one after the other: each takes one call and sends its bytes, then hangs up.
class FakeServer {
  public:
    FakeServer(const std::string& path, std::vector<std::string> answers)
        : listener_(std::move(*kernel::listen_unix(path, 0600))),
          thread_([this, answers = std::move(answers)] { serve(answers); }) {}
    ~FakeServer() { finish(); }
    // Waits until the script is over: `calls` may be read then.
    void finish() {
        if (thread_.joinable()) thread_.join();
    }
    std::vector<std::string> calls;

  private:
    void serve(const std::vector<std::string>& answers) {
        for (const std::string& answer : answers) {
            const int listener = listener_.get();
            if (!kernel::wait_readable({&listener, 1}, kernel::mono_now() + seconds(10)).value_or(false)) return;
            auto connection = kernel::accept_connection(listener);
            ASSERT_TRUE(connection && *connection);
            const int fd = (*connection)->get();
            (void)kernel::set_nonblocking(fd, false);
            std::string call;
            char byte = 0;
            while (kernel::read_some(fd, &byte, 1).value_or(0) == 1 && byte != '\0') call += byte;
            calls.push_back(call);
            for (const char one : answer) (void)kernel::write_all(fd, &one, 1);  // byte by byte: any cut must do
        }
    }
    kernel::Fd listener_;
    std::thread thread_;
};

class ClientTest : public Scratch {
  protected:
    void SetUp() override {
        Scratch::SetUp();
        kernel::ignore_broken_pipes();
    }
    std::string socket() const { return root + "/control"; }
};

std::string ended(const char* outcome) {
    control::OperationReply reply;
    reply.operation = 7, reply.verb = "start", reply.outcome = outcome;
    return varlink::build_reply(control::write(reply));
}
std::string begun() {
    control::OperationReply reply;
    reply.operation = 7, reply.verb = "start", reply.outcome = "pending", reply.progress = {"db: starting"};
    return varlink::build_reply(control::write(reply), true);
}

TEST_F(ClientTest, NobodyThere) {
    Client client(socket());
    const auto reply = client.call<control::PingReply>(control::Method::ping, control::Nothing{});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::unreachable);
    EXPECT_FALSE(answers(socket()));
}

TEST_F(ClientTest, ReplyAndError) {
    FakeServer server(socket(), {varlink::build_reply(control::write(control::PingReply{"1", "shop", 2, false})),
                                 control::error_message({ErrorKind::not_found, "no x", 0, "look"})});
    Client client(socket());
    const auto pong = client.call<control::PingReply>(control::Method::ping, control::Nothing{});
    ASSERT_TRUE(pong) << pong.error().what;
    EXPECT_EQ(pong->instance, "shop");
    const auto refused = client.call<control::WhyReply>(control::Method::why, control::NameRequest{"x"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
    EXPECT_EQ(refused.error().advice, "look");
}

TEST_F(ClientTest, AReadIsAskedAgainWhenTheServerGoesAway) {
    FakeServer server(socket(), {"", "{\"param", varlink::build_reply(control::write(control::WhyReply{{"because"}}))});
    Client client(socket());
    const auto reply = client.call<control::WhyReply>(control::Method::why, control::NameRequest{"x"});
    ASSERT_TRUE(reply) << reply.error().what;
    EXPECT_EQ(reply->lines.at(0), "because");
}

// The name by which the server knows that it is the same request.
std::string name_in(const std::string& call) {
    const std::string label = "\"request\":\"";
    const std::size_t at = call.rfind(label);
    return at == std::string::npos ? "" : call.substr(at + label.size(), 32);
}

TEST_F(ClientTest, AChangeIsAskedAgainUnderTheSameName) {
    FakeServer server(socket(), {"", ended("done")});
    Client client(socket());
    const auto reply =
        client.call<control::OperationReply>(control::Method::kill, control::KillRequest{"x", "TERM", false});
    ASSERT_TRUE(reply) << reply.error().what;
    server.finish();
    ASSERT_EQ(server.calls.size(), 2u);
    EXPECT_EQ(name_in(server.calls[0]).size(), 32u);
    EXPECT_EQ(name_in(server.calls[0]), name_in(server.calls[1]));
}

TEST_F(ClientTest, AnOperationThatWasNotHeardOfIsAskedAgainUnderTheSameName) {
    FakeServer server(socket(), {"", std::string("nonsense\0", 9), begun(), ended("done")});
    Client client(socket());
    const auto reply =
        client.operate(control::Method::start, control::write(control::TargetsRequest{{"db"}, {}, true}), {});
    ASSERT_TRUE(reply) << reply.error().what;
    server.finish();
    ASSERT_EQ(server.calls.size(), 4u);
    EXPECT_EQ(name_in(server.calls[0]), name_in(server.calls[2]));
    EXPECT_NE(server.calls[3].find("io.abide.Control.Wait"), std::string::npos);
    const auto other = control::write(control::TargetsRequest{{"db"}, {}, true});
    EXPECT_EQ(other.find("\"request\":\"\"") != std::string::npos, true) << "the name is the client's to draw";
}

TEST_F(ClientTest, AnOperationIsFollowedOverANewManager) {
    FakeServer server(socket(), {begun(), "", begun() + ended("done")});
    Client client(socket());
    int heard = 0;
    const auto reply = client.operate(control::Method::start, control::write(control::TargetsRequest{{"db"}, {}, true}),
                                      [&](const control::OperationReply& one) { heard += one.progress.size() == 1; });
    ASSERT_TRUE(reply) << reply.error().what;
    EXPECT_EQ(reply->outcome, "done");
    EXPECT_EQ(heard, 2);
    server.finish();
    ASSERT_EQ(server.calls.size(), 3u);
    EXPECT_NE(server.calls[0].find("io.abide.Control.Start"), std::string::npos);
    EXPECT_NE(server.calls[2].find("io.abide.Control.Wait"), std::string::npos);
    EXPECT_NE(server.calls[2].find("\"operation\":7"), std::string::npos);
}

TEST_F(ClientTest, GarbageIsAnErrorNotACrash) {
    FakeServer server(socket(),
                      {std::string("HTTP/1.1 200 OK\0", 16), std::string("{\"parameters\":{\"lines\":7}}\0", 27),
                       std::string("{\"parameters\":{\"lines\":7}}\0", 27)});
    Client client(socket());
    EXPECT_FALSE(client.call<control::WhyReply>(control::Method::why, control::NameRequest{"x"}));
    const auto typed = client.call<control::WhyReply>(control::Method::why, control::NameRequest{"x"});
    ASSERT_FALSE(typed);
    EXPECT_NE(typed.error().what.find("lines"), std::string::npos);
}

}  // namespace
}  // namespace abide::cli
