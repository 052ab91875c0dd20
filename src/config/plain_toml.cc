// config/plain_toml.cc -- see plain_toml.hpp.
#include "config/plain_toml.hpp"

#include <charconv>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace abide::config {

namespace {

constexpr std::size_t kParts = 16;    // of a header
constexpr std::size_t kDigits = 18;   // of an integer that surely fits
constexpr char kBetweenParts = '\n';  // in no key

bool is_key_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_printable(char c) {
    return (c >= ' ' && c <= '~') || c == '\t';
}

class Plain {
  public:
    Plain(std::string_view text, std::uint32_t file, Value& root) : text_(text), file_(file), root_(root) {}

    bool read() {
        root_ = {};
        root_.position = {file_, 1, 1};
        Value* table = &root_;
        while (at_ < text_.size()) {
            skip_blanks();
            if (at_ == text_.size()) break;
            const char c = text_[at_];
            if (c == '[') {
                table = header();
                if (table == nullptr) return false;
            } else if (c != '\n' && c != '#' && !member(*table)) {
                return false;
            }
            if (!end_of_line()) return false;
        }
        return true;
    }

  private:
    Position here() const { return {file_, line_, static_cast<std::uint32_t>(at_ - line_begin_ + 1)}; }
    char next() const { return at_ < text_.size() ? text_[at_] : '\n'; }
    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    }
    bool take(char c) {
        if (next() != c || at_ == text_.size()) return false;
        ++at_;
        return true;
    }
    // Blanks, perhaps a comment, and the end of the line or of the text.
    bool end_of_line() {
        skip_blanks();
        if (next() == '#') {
            while (at_ < text_.size() && is_printable(text_[at_])) ++at_;
        }
        if (at_ == text_.size()) return true;
        if (!take('\n')) return false;
        ++line_;
        line_begin_ = at_;
        return true;
    }
    std::string_view key() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && is_key_letter(text_[at_])) ++at_;
        return text_.substr(begin, at_ - begin);
    }

    // The table of a header that was not there before, neither by itself nor as part of another one.
    Value* header() {
        const Position opened = here();
        ++at_;
        Value* table = &root_;
        path_.clear();
        for (std::size_t part = 0; part < kParts; ++part) {
            skip_blanks();
            const Position begun = here();
            const std::string_view name = key();
            if (name.empty()) return nullptr;
            skip_blanks();
            const bool last = next() == ']';
            if (!(last ? take(']') : take('.'))) return nullptr;
            (path_ += name) += kBetweenParts;
            if (seen_.insert(path_).second) {
                Member& made = table->members.emplace_back();
                made.key = name;
                made.position = begun;
                made.value.position = opened;
                table = &made.value;
            } else {
                table = last ? nullptr : known_table(*table, name);
                if (table == nullptr) return nullptr;
            }
            if (last) return table;
        }
        return nullptr;
    }

    // Most often it is the newest one.
    static Value* known_table(Value& parent, std::string_view name) {
        for (auto member = parent.members.rbegin(); member != parent.members.rend(); ++member) {
            if (member->key == name) return member->value.type == ValueType::table ? &member->value : nullptr;
        }
        return nullptr;
    }

    bool member(Value& table) {
        const Position begun = here();
        const std::string_view name = key();
        if (name.empty()) return false;
        skip_blanks();
        if (!take('=')) return false;
        skip_blanks();
        // The path of the table stands in front: of the root it is empty.
        const std::size_t table_path = path_.size();
        (path_ += name) += kBetweenParts;
        const bool fresh = seen_.insert(path_).second;
        path_.resize(table_path);
        if (!fresh) return false;
        Member& made = table.members.emplace_back();
        made.key = name;
        made.position = begun;
        return next() == '[' ? list(made.value) : single(made.value);
    }

    bool list(Value& value) {
        value.position = here();
        value.type = ValueType::array;
        ++at_;
        for (skip_blanks(); !take(']'); skip_blanks()) {
            if (!single(value.items.emplace_back())) return false;
            skip_blanks();
            if (!take(',') && next() != ']') return false;
        }
        return true;
    }

    bool single(Value& value) {
        value.position = here();
        const char c = next();
        if (c == '"' || c == '\'') return text(value, c);
        if (c == 't' || c == 'f') return boolean(value);
        return integer(value);
    }

    bool text(Value& value, char quote) {
        const std::size_t begin = ++at_;
        while (at_ < text_.size() && text_[at_] != quote) {
            if (!is_printable(text_[at_]) || (quote == '"' && text_[at_] == '\\')) return false;
            ++at_;
        }
        value.type = ValueType::text;
        value.text = text_.substr(begin, at_ - begin);
        // An empty one may be the begin of one over several lines.
        return take(quote) && next() != quote;
    }

    bool boolean(Value& value) {
        const std::string_view word = key();
        value.type = ValueType::boolean;
        value.boolean = word == "true";
        return value.boolean || word == "false";
    }

    bool integer(Value& value) {
        const std::size_t begin = at_;
        if (next() == '-') ++at_;
        const std::size_t digits = at_;
        while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
        const std::size_t count = at_ - digits;
        const char after = next();
        const bool ends =
            after == ' ' || after == '\t' || after == '\n' || after == ',' || after == ']' || after == '#';
        if (count == 0 || count > kDigits || (count > 1 && text_[digits] == '0') || !ends) return false;
        value.type = ValueType::integer;
        return std::from_chars(text_.data() + begin, text_.data() + at_, value.integer).ec == std::errc{};
    }

    std::string_view text_;
    std::uint32_t file_;
    Value& root_;
    std::size_t at_ = 0, line_begin_ = 0;
    std::uint32_t line_ = 1;
    std::string path_;  // of the table that is being filled: each part and kBetweenParts
    std::set<std::string> seen_;
};

}  // namespace

bool read_plain_toml(std::string_view text, std::uint32_t file, Value& root) {
    return Plain(text, file, root).read();
}

}  // namespace abide::config
