// base/pattern.cc -- parser, program and simulation of pattern.hpp.  Pure: bytes in, verdict out.
#include "base/pattern.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"

namespace abide {

// Recursive descent, bounded by kPatternDepth.  Fragments hold relative targets, so they can be joined freely.
class PatternParser {
  public:
    explicit PatternParser(std::string_view text) : text_(text) {}

    Result<Pattern> parse() {
        Pattern::Fragment body = choice(0);
        if (error_.empty() && at_ < text_.size()) refuse("')' without '('");
        body.push_back({Op::match, 0, 0, 0, 0});
        if (error_.empty() && body.size() > kPatternProgram) refuse("the pattern is too long");
        if (!error_.empty())
            return fail(ErrorKind::usage, "bad pattern: " + error_ + " at position " + std::to_string(error_at_ + 1));
        pattern_.program_ = std::move(body);
        return std::move(pattern_);
    }

  private:
    using Op = Pattern::Op;
    using Fragment = Pattern::Fragment;

    void refuse(const char* why) {
        if (error_.empty()) {
            error_ = why;
            error_at_ = at_;
        }
    }
    bool more() const { return error_.empty() && at_ < text_.size(); }
    bool next_is(char c) const { return more() && text_[at_] == c; }

    static void append(Fragment& to, const Fragment& from) { to.insert(to.end(), from.begin(), from.end()); }
    static std::int32_t size_of(const Fragment& f) { return static_cast<std::int32_t>(f.size()); }

    Fragment choice(std::size_t depth) {
        Fragment left = sequence(depth);
        while (next_is('|')) {
            ++at_;
            const Fragment right = sequence(depth);
            Fragment both{{Op::split, 0, 0, 1, size_of(left) + 2}};
            append(both, left);
            both.push_back({Op::jump, 0, 0, size_of(right) + 1, 0});
            append(both, right);
            left = bounded(std::move(both));
        }
        return left;
    }

    Fragment sequence(std::size_t depth) {
        Fragment all;
        while (more() && text_[at_] != '|' && text_[at_] != ')') {
            append(all, repeated(depth));
            all = bounded(std::move(all));
        }
        return all;
    }

    Fragment repeated(std::size_t depth) {
        Fragment one = atom(depth);
        while (more()) {
            const char c = text_[at_];
            if (c != '*' && c != '+' && c != '?') break;
            ++at_;
            const std::int32_t n = size_of(one);
            Fragment out;
            if (c != '+') out.push_back({Op::split, 0, 0, 1, c == '*' ? n + 2 : n + 1});
            append(out, one);
            if (c == '*') out.push_back({Op::jump, 0, 0, -(n + 1), 0});
            if (c == '+') out.push_back({Op::split, 0, 0, -n, 1});
            one = bounded(std::move(out));
        }
        return one;
    }

    // Keeps the work of parsing bounded too: nested repetition copies its fragment.
    Fragment bounded(Fragment fragment) {
        if (fragment.size() > kPatternProgram) {
            refuse("the pattern is too long");
            fragment.clear();
        }
        return fragment;
    }

    Fragment atom(std::size_t depth) {
        const char c = text_[at_];
        switch (c) {
            case '(': return group(depth);
            case '[': return bracket();
            case '\\': return escape();
            case '.': ++at_; return {{Op::any, 0, 0, 0, 0}};
            case '^': ++at_; return {{Op::line_begin, 0, 0, 0, 0}};
            case '$': ++at_; return {{Op::line_end, 0, 0, 0, 0}};
            case '*':
            case '+':
            case '?': refuse("nothing to repeat"); return {};
            default: ++at_; return {{Op::byte, static_cast<std::uint8_t>(c), 0, 0, 0}};
        }
    }

    Fragment group(std::size_t depth) {
        if (depth >= kPatternDepth) {
            refuse("too many parentheses");
            return {};
        }
        ++at_;
        Fragment inner = choice(depth + 1);
        if (!next_is(')')) refuse("'(' without ')'");
        ++at_;
        return inner;
    }

    Fragment set_of(const std::bitset<256>& set) {
        pattern_.sets_.push_back(set);
        return {{Op::set, 0, static_cast<std::uint16_t>(pattern_.sets_.size() - 1), 0, 0}};
    }

    // The bytes that \d, \w and \s stand for; empty for any other letter.
    static std::bitset<256> named_set(char name) {
        std::bitset<256> set;
        for (unsigned c = 0; c < 128; ++c) {
            const bool digit = c >= '0' && c <= '9';
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
            const bool in = name == 'd'   ? digit
                            : name == 'w' ? digit || letter
                                          : name == 's' && (c == ' ' || c == '\t');
            if (in) set.set(c);
        }
        return set;
    }

    Fragment escape() {
        if (at_ + 1 >= text_.size()) {
            refuse("'\\' at the end");
            return {};
        }
        const char c = text_[at_ + 1];
        const std::bitset<256> set = named_set(c);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (set.none() && letter && c != 't') {
            refuse("unknown '\\' sequence");
            return {};
        }
        at_ += 2;
        if (set.any()) return set_of(set);
        return {{Op::byte, static_cast<std::uint8_t>(c == 't' ? '\t' : c), 0, 0, 0}};
    }

    // One byte inside [], with its escape; false: a named set was added instead.
    bool bracket_byte(std::bitset<256>& set, unsigned char& byte) {
        byte = static_cast<unsigned char>(text_[at_++]);
        if (byte != '\\' || !more()) return true;
        const char c = text_[at_++];
        const std::bitset<256> named = named_set(c);
        set |= named;
        byte = static_cast<unsigned char>(c == 't' ? '\t' : c);
        return named.none();
    }

    Fragment bracket() {
        const std::size_t open = at_++;
        const bool negated = next_is('^');
        if (negated) ++at_;
        std::bitset<256> set;
        for (bool first = true; more() && (first || text_[at_] != ']'); first = false) {
            unsigned char low = 0, high = 0;
            if (!bracket_byte(set, low)) continue;
            high = low;
            if (next_is('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
                ++at_;
                if (!bracket_byte(set, high) || high < low) refuse("a range that ends before it starts");
            }
            for (unsigned b = low; b <= high; ++b) set.set(b);
        }
        if (!next_is(']')) {
            at_ = open;
            refuse("'[' without ']'");
            return {};
        }
        ++at_;
        return set_of(negated ? ~set : set);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string error_;
    std::size_t error_at_ = 0;
    Pattern pattern_;
};

Result<Pattern> Pattern::regular(std::string_view text) {
    if (text.size() > kPatternProgram) return fail(ErrorKind::usage, "bad pattern: it is too long");
    return PatternParser(text).parse();
}

Result<Pattern> Pattern::literal(std::string_view text) {
    if (text.empty() || text.size() > kPatternProgram) return fail(ErrorKind::usage, "bad pattern: empty or too long");
    Pattern pattern;
    pattern.is_literal_ = true;
    pattern.text_ = text;
    pattern.fallback_.assign(text.size(), 0);
    for (std::size_t i = 1, border = 0; i < text.size(); ++i) {
        while (border > 0 && text[i] != text[border]) border = pattern.fallback_[border - 1];
        if (text[i] == text[border]) ++border;
        pattern.fallback_[i] = static_cast<std::uint16_t>(border);
    }
    return pattern;
}

Matcher::Matcher(Pattern pattern) : pattern_(std::move(pattern)), seen_(pattern_.program_.size(), 0) {
    begin_line();
}

void Matcher::begin_line() {
    literal_state_ = 0;
    matched_ = false;
    threads_.clear();
    if (pattern_.is_literal_) return;
    new_turn();
    add(0, true, false);
    threads_.swap(next_);
}

void Matcher::new_turn() {
    next_.clear();
    if (++turn_ == 0) {  // stamps of four billion turns ago would look fresh
        std::fill(seen_.begin(), seen_.end(), 0);
        turn_ = 1;
    }
}

// Adds a position with all that it leads to without a byte, to next_.
void Matcher::add(std::size_t start, bool at_begin, bool at_end) {
    stack_.assign(1, static_cast<std::uint16_t>(start));
    while (!stack_.empty()) {
        const std::uint16_t at = stack_.back();
        stack_.pop_back();
        if (seen_[at] == turn_) continue;
        seen_[at] = turn_;
        const Pattern::Instruction& now = pattern_.program_[at];
        const auto to = [&](std::int32_t offset) { stack_.push_back(static_cast<std::uint16_t>(at + offset)); };
        switch (now.op) {
            case Pattern::Op::match: matched_ = true; return;
            case Pattern::Op::jump: to(now.first); break;
            case Pattern::Op::split:
                to(now.second);
                to(now.first);
                break;
            case Pattern::Op::line_begin:
                if (at_begin) to(1);
                break;
            case Pattern::Op::line_end:
                if (at_end)
                    to(1);
                else
                    next_.push_back(at);
                break;
            case Pattern::Op::byte:
            case Pattern::Op::any:
            case Pattern::Op::set: next_.push_back(at); break;
        }
    }
}

void Matcher::step(unsigned char byte) {
    new_turn();
    for (const std::uint16_t at : threads_) {
        const Pattern::Instruction& now = pattern_.program_[at];
        const bool taken = now.op == Pattern::Op::any || (now.op == Pattern::Op::byte && now.byte == byte) ||
                           (now.op == Pattern::Op::set && pattern_.sets_[now.set][byte]);
        if (taken) add(at + 1u, false, false);
        if (matched_) return;
    }
    add(0, false, false);  // a match may begin at any byte
    threads_.swap(next_);
}

bool Matcher::feed(std::string_view piece) {
    if (matched_) return true;
    if (pattern_.is_literal_) return feed_literal(piece);
    for (const char c : piece) {
        step(static_cast<unsigned char>(c));
        if (matched_) return true;
    }
    return matched_;
}

bool Matcher::feed_literal(std::string_view piece) {
    const std::string& text = pattern_.text_;
    for (std::size_t i = 0; i < piece.size(); ++i) {
        if (literal_state_ == 0) {
            const void* hit = std::memchr(piece.data() + i, text[0], piece.size() - i);
            if (hit == nullptr) return false;
            i = static_cast<std::size_t>(static_cast<const char*>(hit) - piece.data());
        }
        while (literal_state_ > 0 && piece[i] != text[literal_state_])
            literal_state_ = pattern_.fallback_[literal_state_ - 1];
        if (piece[i] == text[literal_state_]) ++literal_state_;
        if (literal_state_ == text.size()) return matched_ = true;
    }
    return false;
}

bool Matcher::end_line() {
    if (matched_ || pattern_.is_literal_) return matched_;
    const std::vector<std::uint16_t> parked = threads_;
    new_turn();
    for (const std::uint16_t at : parked) {
        if (pattern_.program_[at].op == Pattern::Op::line_end) add(at, false, true);
        if (matched_) return true;
    }
    return false;
}

}  // namespace abide
