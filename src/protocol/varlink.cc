// protocol/varlink.cc -- framing, envelopes and org.varlink.service.  See varlink.hpp.
#include "protocol/varlink.hpp"

#include <algorithm>
#include <cstring>

namespace abide::varlink {

namespace {

constexpr std::size_t kKeepCapacity = 64u << 10;  // an idle connection keeps no more than this

constexpr std::string_view kServiceDescription =
    R"(# The Varlink Service Interface is provided by every varlink service. It
# describes the service and the interfaces it implements.
interface org.varlink.service

# Get a list of all the interfaces a service provides and information
# about the implementation.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# Get the description of an interface that is implemented by this service.
method GetInterfaceDescription(interface: string) -> (description: string)

# The requested interface was not found.
error InterfaceNotFound (interface: string)

# The requested method was not found
error MethodNotFound (method: string)

# The interface defines the requested method, but the service does not
# implement it.
error MethodNotImplemented (method: string)

# One of the passed parameters is invalid.
error InvalidParameter (parameter: string)

# Client is denied access
error PermissionDenied ()

# Method is expected to be called with 'more' set to true, but wasn't
error ExpectedMore ()
)";

// The length of the UTF-8 sequence at text[at], or 0 when it is not one (Unicode table 3-7: no surrogates, no
// overlongs).
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
    const unsigned first = byte(at), second = byte(at + 1);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return tail(at + 1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if (!tail(at + 1) || !tail(at + 2)) return 0;
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!tail(at + 1) || !tail(at + 2) || !tail(at + 3)) return 0;
        if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
        return 4;
    }
    return 0;
}

void append_escaped_control(std::string& out, unsigned char c) {
    constexpr std::string_view kHex = "0123456789abcdef";
    switch (c) {
        case '\n': out += "\\n"; return;
        case '\t': out += "\\t"; return;
        case '\r': out += "\\r"; return;
        default: break;
    }
    out += "\\u00";
    out += kHex[c >> 4];
    out += kHex[c & 15];
}

std::string named_error(std::string_view error, std::string_view key, std::string_view value) {
    std::string parameters = "{\"";
    parameters += key;
    parameters += "\":";
    append_json_string(parameters, value);
    parameters += '}';
    return build_error(error, parameters);
}

Result<boost::json::object> parse_object(std::string_view message) {
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(message, error);
    if (error) return fail(ErrorKind::refused, "a message is not JSON: " + error.message());
    if (!value.is_object()) return fail(ErrorKind::refused, "a message is not a JSON object");
    return std::move(value.get_object());
}

// Takes out the object `parameters`; absent and null are an empty one.
Result<boost::json::object> take_parameters(boost::json::object& envelope) {
    boost::json::value* value = envelope.if_contains("parameters");
    if (value == nullptr || value->is_null()) return boost::json::object{};
    if (!value->is_object()) return fail(ErrorKind::refused, "`parameters` of a message is not an object");
    return std::move(value->get_object());
}

Result<bool> take_flag(const boost::json::object& envelope, std::string_view name) {
    const boost::json::value* value = envelope.if_contains(name);
    if (value == nullptr || value->is_null()) return false;
    if (!value->is_bool()) return fail(ErrorKind::refused, "`" + std::string(name) + "` of a message is not a bool");
    return value->get_bool();
}

std::string info_reply(const ServiceInfo& info) {
    std::string out = "{\"vendor\":";
    append_json_string(out, info.vendor);
    out += ",\"product\":";
    append_json_string(out, info.product);
    out += ",\"version\":";
    append_json_string(out, info.version);
    out += ",\"url\":";
    append_json_string(out, info.url);
    out += ",\"interfaces\":[\"org.varlink.service\"";
    for (const Interface& interface : info.interfaces) {
        out += ',';
        append_json_string(out, interface.name);
    }
    out += "]}";
    return build_reply(out);
}

std::string description_reply(const Call& call, const ServiceInfo& info) {
    const boost::json::value* asked = call.parameters.if_contains("interface");
    if (asked == nullptr || !asked->is_string()) return invalid_parameter("interface");
    const std::string_view name = asked->get_string();
    std::optional<std::string_view> description;
    if (name == "org.varlink.service") description = kServiceDescription;
    for (const Interface& interface : info.interfaces) {
        if (interface.name == name) description = interface.description;
    }
    if (!description) return interface_not_found(name);
    std::string out = "{\"description\":";
    append_json_string(out, *description);
    out += '}';
    return build_reply(out);
}

}  // namespace

Status MessageReader::feed(std::string_view bytes) {
    if (start_ == buffer_.size()) {
        buffer_.clear();
        if (buffer_.capacity() > kKeepCapacity) buffer_.shrink_to_fit();
        start_ = scanned_ = 0;
    } else if (start_ > buffer_.size() / 2) {
        buffer_.erase(0, start_);
        scanned_ -= start_;
        start_ = 0;
    }
    for (std::string_view rest = bytes; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\0'), rest.size());
        tail_ += end;
        if (tail_ > limit_) {
            return fail(ErrorKind::refused, "a message is longer than " + std::to_string(limit_) + " bytes");
        }
        if (end == rest.size()) break;
        tail_ = 0;
        rest.remove_prefix(end + 1);
    }
    buffer_.append(bytes);
    return {};
}

std::optional<std::string_view> MessageReader::next() {
    scanned_ = std::max(scanned_, start_);
    const std::size_t end = buffer_.find('\0', scanned_);
    if (end == std::string::npos) {
        scanned_ = buffer_.size();
        return std::nullopt;
    }
    const auto message = std::string_view(buffer_).substr(start_, end - start_);
    start_ = scanned_ = end + 1;
    return message;
}

Result<Call> parse_call(std::string_view message) {
    auto envelope = parse_object(message);
    if (!envelope) return std::unexpected(envelope.error());
    Call call;
    const boost::json::value* method = envelope->if_contains("method");
    if (method == nullptr || !method->is_string()) return fail(ErrorKind::refused, "a call has no `method`");
    call.method = method->get_string();
    for (const auto& [name, member] :
         {std::pair{"more", &Call::more}, {"oneway", &Call::oneway}, {"upgrade", &Call::upgrade}}) {
        const auto flag = take_flag(*envelope, name);
        if (!flag) return std::unexpected(flag.error());
        call.*member = *flag;
    }
    auto parameters = take_parameters(*envelope);
    if (!parameters) return std::unexpected(parameters.error());
    call.parameters = std::move(*parameters);
    return call;
}

Result<Reply> parse_reply(std::string_view message) {
    auto envelope = parse_object(message);
    if (!envelope) return std::unexpected(envelope.error());
    Reply reply;
    if (const boost::json::value* error = envelope->if_contains("error"); error != nullptr && !error->is_null()) {
        if (!error->is_string()) return fail(ErrorKind::refused, "`error` of a reply is not a string");
        reply.error = error->get_string();
    }
    const auto continues = take_flag(*envelope, "continues");
    if (!continues) return std::unexpected(continues.error());
    reply.continues = *continues;
    auto parameters = take_parameters(*envelope);
    if (!parameters) return std::unexpected(parameters.error());
    reply.parameters = std::move(*parameters);
    return reply;
}

std::string build_call(std::string_view method, std::string_view parameters, bool more, bool oneway) {
    std::string out = "{\"method\":";
    append_json_string(out, method);
    if (!parameters.empty()) {
        out += ",\"parameters\":";
        out += parameters;
    }
    if (more) out += ",\"more\":true";
    if (oneway) out += ",\"oneway\":true";
    out += '}';
    out += '\0';
    return out;
}

std::string build_reply(std::string_view parameters, bool continues) {
    std::string out;
    out.reserve(parameters.size() + 40);
    out += "{\"parameters\":";
    out += parameters.empty() ? "{}" : parameters;
    if (continues) out += ",\"continues\":true";
    out += '}';
    out += '\0';
    return out;
}

std::string build_error(std::string_view error, std::string_view parameters) {
    std::string out = "{\"error\":";
    append_json_string(out, error);
    if (!parameters.empty()) {
        out += ",\"parameters\":";
        out += parameters;
    }
    out += '}';
    out += '\0';
    return out;
}

std::string interface_not_found(std::string_view interface_name) {
    return named_error(kInterfaceNotFound, "interface", interface_name);
}
std::string method_not_found(std::string_view method) {
    return named_error(kMethodNotFound, "method", method);
}
std::string method_not_implemented(std::string_view method) {
    return named_error(kMethodNotImplemented, "method", method);
}
std::string invalid_parameter(std::string_view parameter) {
    return named_error(kInvalidParameter, "parameter", parameter);
}
std::string permission_denied() {
    return build_error(kPermissionDenied, {});
}
std::string expected_more() {
    return build_error(kExpectedMore, {});
}

std::string_view interface_of(std::string_view method) {
    const std::size_t dot = method.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : method.substr(0, dot);
}

std::optional<std::string> answer_service(const Call& call, const ServiceInfo& info) {
    const std::string_view interface = interface_of(call.method);
    if (interface.empty()) return invalid_parameter("method");
    if (interface == "org.varlink.service") {
        if (call.method == "org.varlink.service.GetInfo") return info_reply(info);
        if (call.method == "org.varlink.service.GetInterfaceDescription") return description_reply(call, info);
        return method_not_found(call.method);
    }
    const bool ours = std::ranges::any_of(info.interfaces, [&](const Interface& one) { return one.name == interface; });
    return ours ? std::nullopt : std::optional(interface_not_found(interface));
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    std::size_t plain = 0;  // start of what can be copied as it stands
    for (std::size_t at = 0; at < text.size();) {
        const auto c = static_cast<unsigned char>(text[at]);
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            ++at;
            continue;
        }
        const std::size_t length = sequence_length(text, at);
        if (c >= 0x80 && length > 0) {
            at += length;
            continue;
        }
        out.append(text, plain, at - plain);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c < 0x20) {
            append_escaped_control(out, c);
        } else {
            out += "\xEF\xBF\xBD";
        }
        plain = ++at;
    }
    out.append(text, plain, text.size() - plain);
    out += '"';
}

}  // namespace abide::varlink
