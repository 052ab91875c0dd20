// model/codec_read.cc -- the parser behind the codec's reading half.
#include "model/codec_read.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <exception>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace abide::model::detail {
namespace json_lib = boost::json;
namespace {

constexpr std::size_t kDepth = 32;

const json_lib::value& of(const void* value) {
    return *static_cast<const json_lib::value*>(value);
}

template <class Int>
bool read_integer(const json_lib::value& value, Int& result) {
    if (const std::int64_t* number = value.if_int64()) {
        result = static_cast<Int>(*number);
        return std::in_range<Int>(*number);
    }
    if (const std::uint64_t* number = value.if_uint64()) {
        result = static_cast<Int>(*number);
        return std::in_range<Int>(*number);
    }
    const json_lib::string* text = value.if_string();
    if (!text || text->empty()) return false;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), result);
    return error == std::errc{} && end == text->data() + text->size();
}

// An integer beyond 64 bits was read as a double, which has lost its last digits, or is infinite.  Depth: kDepth.
bool keeps_its_numbers(const json_lib::value& value) {
    if (const double* number = value.if_double()) return *number > -0x1p63 && *number < 0x1p63;
    if (const auto* array = value.if_array()) return std::ranges::all_of(*array, keeps_its_numbers);
    if (const auto* object = value.if_object()) {
        return std::ranges::all_of(*object, [](const auto& member) { return keeps_its_numbers(member.value()); });
    }
    return true;
}

}  // namespace

struct Document::Tree {
    alignas(16) unsigned char first[4096];  // most records need no more
    json_lib::monotonic_resource memory{first, sizeof first};
    json_lib::value root;
};

Document::Document(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Result<Document> Document::parse(std::string_view text) {
    if (text.size() > limits::kMessageBytes) {
        return fail(ErrorKind::usage, "the JSON text has " + std::to_string(text.size()) + " bytes, at most " +
                                          std::to_string(limits::kMessageBytes) + " are read");
    }
    auto tree = std::make_unique<Tree>();
    try {
        json_lib::error_code error;
        json_lib::parse_options options;
        options.max_depth = kDepth;
        unsigned char scratch[4096];  // for the stack of the parser
        json_lib::parser parser(json_lib::storage_ptr(), options, scratch, sizeof scratch);
        parser.reset(&tree->memory);
        const std::size_t used = parser.write({text.data(), text.size()}, error);
        if (error) {
            return fail(ErrorKind::usage, "not JSON: " + error.message() + " at byte " + std::to_string(used));
        }
        tree->root = parser.release();
    } catch (const std::exception& problem) {
        // Out of memory, or a length that the parser refuses.
        return fail(ErrorKind::usage, std::string("the JSON text can't be read: ") + problem.what());
    }
    return Document(std::move(tree));
}

Node Document::root() const {
    return Node(&tree_->root);
}

bool Node::is_object() const {
    return of(value_).is_object();
}
bool Node::is_array() const {
    return of(value_).is_array();
}
std::size_t Node::size() const {
    const auto& value = of(value_);
    if (const auto* object = value.if_object()) return object->size();
    if (const auto* array = value.if_array()) return array->size();
    return 0;
}
std::string_view Node::key(std::size_t at) const {
    const auto key = of(value_).get_object().begin()[static_cast<std::ptrdiff_t>(at)].key();
    return {key.data(), key.size()};
}
Node Node::member(std::size_t at) const {
    return Node(&of(value_).get_object().begin()[static_cast<std::ptrdiff_t>(at)].value());
}
std::size_t Node::find(std::string_view name) const {
    const auto& object = of(value_).get_object();
    const auto found = object.find({name.data(), name.size()});
    return found == object.end() ? kNone : static_cast<std::size_t>(found - object.begin());
}
Node Node::element(std::size_t at) const {
    return Node(&of(value_).get_array()[at]);
}

const char* Node::kind() const {
    switch (of(value_).kind()) {
        case json_lib::kind::null: return "null";
        case json_lib::kind::bool_: return "true or false";
        case json_lib::kind::int64:
        case json_lib::kind::uint64: return "a whole number";
        case json_lib::kind::double_: return "a number with a fraction";
        case json_lib::kind::string: return "a string";
        case json_lib::kind::array: return "a list";
        case json_lib::kind::object: return "an object";
    }
    return "nothing";
}

bool Node::read(bool& value) const {
    const bool* found = of(value_).if_bool();
    if (found) value = *found;
    return found != nullptr;
}
bool Node::read(std::int64_t& value) const {
    return read_integer(of(value_), value);
}
bool Node::read(std::uint64_t& value) const {
    return read_integer(of(value_), value);
}
bool Node::read_text(std::string_view& value) const {
    const auto* text = of(value_).if_string();
    if (text) value = {text->data(), text->size()};
    return text != nullptr;
}
bool Node::read(std::string& value) const {
    std::string_view text;
    if (read_text(text)) {
        value = text;
        return true;
    }
    if (!is_object() || size() != 1 || key(0) != "$b64" || !member(0).read_text(text)) return false;
    std::optional<std::string> bytes = json::from_base64(text);
    if (bytes) value = std::move(*bytes);
    return bytes.has_value();
}
bool Node::append_to(std::string& out) const {
    if (!keeps_its_numbers(of(value_))) return false;
    out += json_lib::serialize(of(value_));
    return true;
}

bool Reading::wrong_type(Node node, std::string_view wanted) {
    return wrong("must be " + std::string(wanted) + ", not " + node.kind());
}
bool Reading::unknown_name(std::string_view name) {
    return wrong("\"" + printable(name, 64) + "\" is not known here");
}
bool Reading::below(std::string_view step) {
    if (!path.empty() && path.front() != '[') path.insert(path.begin(), '.');
    path.insert(0, step);
    return false;
}
bool Reading::below(std::size_t index) {
    if (!path.empty() && path.front() != '[') path.insert(path.begin(), '.');
    path.insert(0, "[" + std::to_string(index) + "]");
    return false;
}
bool Reading::charge(std::size_t bytes) {
    if (bytes > budget) return wrong("takes more memory than a text of this size may");
    budget -= bytes;
    return true;
}
Error Reading::error() const {
    return {ErrorKind::usage, path.empty() ? "the value " + what : path + " " + what, 0, {}};
}

}  // namespace abide::model::detail
