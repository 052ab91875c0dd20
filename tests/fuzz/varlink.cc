// The Varlink server's way with any stream of bytes: framing does not depend on how the stream is cut, every call gets
// an answer that is itself a message, and every request that is read is written back the same.  The first byte says how
// the stream is cut.
#include "protocol/varlink.hpp"

#include <vector>

#include "fuzz.hpp"
#include "protocol/control.hpp"

namespace {

using namespace abide;
using fuzz::demand;

constexpr std::size_t kLimit = 4096;

// The messages of a stream that comes in pieces, and at last whether it was refused.
std::vector<std::string> cut(std::string_view stream, std::size_t piece) {
    varlink::MessageReader reader(kLimit);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        const Status fed = reader.feed(stream.substr(at, piece));
        while (const auto message = reader.next()) messages.emplace_back(*message);
        demand(reader.pending().size() <= kLimit + piece, "more is kept than the limit");
        if (!fed) break;
    }
    return messages;
}

void check_answer(std::string_view answer) {
    demand(!answer.empty() && answer.back() == '\0', "an answer without its end");
    demand(answer.find('\0') == answer.size() - 1, "an end within an answer");
    demand(varlink::parse_reply(answer.substr(0, answer.size() - 1)).has_value(), "an answer that is none:", answer);
}

template <class T>
void check_request(const boost::json::object& parameters) {
    const auto request = control::read<T>(parameters);
    if (!request) return check_answer(varlink::invalid_parameter(request.error()));
    const std::string text = control::write(*request);
    const auto again = control::read<T>(boost::json::parse(text).as_object());
    demand(again && control::write(*again) == text, "a request changes on its way:", text);
}

void check_call(const varlink::Call& call) {
    check_answer(varlink::method_not_found(call.method));
    const control::MethodInfo* method = control::find_method(call.method);
    if (method != nullptr) demand(method->name == call.method, "another method");
    check_request<control::StatusRequest>(call.parameters);
    check_request<control::TargetsRequest>(call.parameters);
    check_request<control::KillRequest>(call.parameters);
    check_request<control::DownRequest>(call.parameters);
    check_request<control::NameRequest>(call.parameters);
    check_request<control::ConfigurationRequest>(call.parameters);
    check_request<control::OperationRequest>(call.parameters);
}

void check_reply(const varlink::Reply& reply) {
    if (!reply.error.empty()) check_answer(control::error_message(control::error_of(reply)));
    (void)control::read<control::StatusReply>(reply.parameters);
    (void)control::read<control::OperationReply>(reply.parameters);
    (void)control::read<control::WhereReply>(reply.parameters);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Bytes bytes(data, size);
    const std::size_t piece = 1 + bytes.byte();
    const std::string_view stream = bytes.rest();
    const std::vector<std::string> messages = cut(stream, piece);
    if (stream.size() <= kLimit) demand(messages == cut(stream, stream.size() + 1), "the cut decides what is read");
    for (const std::string& message : messages) {
        if (const auto call = varlink::parse_call(message)) check_call(*call);
        if (const auto reply = varlink::parse_reply(message)) check_reply(*reply);
    }
    (void)control::parse_time(stream);
    return 0;
}
