// The short way of reading TOML gives what the whole parser gives, or nothing.
#include "config/plain_toml.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "config/toml.hpp"

using namespace abide::config;

namespace {

std::string shown(const Value& value) {
    std::ostringstream out;
    out << value.position.file << ':' << value.position.line << ':' << value.position.column << ' '
        << describe(value.type) << ' ' << value.boolean << value.integer << ' ' << value.real << " \"" << value.text
        << "\" [";
    for (const Value& item : value.items) out << shown(item) << ',';
    out << "] {";
    for (const Member& member : value.members)
        out << member.key << '@' << member.position.line << ':' << member.position.column << '=' << shown(member.value)
            << '\n';
    out << '}';
    return out.str();
}

// Whether it was plain.
bool same(const std::string& text) {
    Value plain, whole;
    if (!read_plain_toml(text, 7, plain)) return false;
    const auto error = parse_whole_toml(text, 7, whole);
    EXPECT_FALSE(error) << error->text << "\nin\n" << text;
    EXPECT_EQ(shown(plain), shown(whole)) << "of\n" << text;
    return true;
}

constexpr const char* kPlain =
    "# services\n"
    "  top = 1 # here\n"
    "[project]\n"
    "name = \"shop\"   \n"
    "parallel	=	-10\n"
    "[ services . api ]\n"
    "command = [\"/bin/api\", '--port', \"80\", ] # and so on\n"
    "log = \"none\"\n"
    "restart-limit = 0\n"
    "[services.api.limits]\n"
    "nofile = 1024\n"
    "on = true\n"
    "[services.db]\n"
    "empty = [ ]\n"
    "off = false";

}  // namespace

TEST(PlainToml, IsReadAsTheWholeParserReadsIt) {
    for (const char* text : {"", "\n\n", "a=1", "[a]", "[a.b.c]\nx=1\n[a.b.d]\n[e]\n[a.f]\n", "\ta = ''", kPlain})
        EXPECT_TRUE(same(text)) << text;
}

TEST(PlainToml, SaysNothingOfWhatIsNotPlain) {
    for (const char* text : {"a.b = 1",
                             "a = 1.5",
                             "a = 0x1",
                             "a = 01",
                             "a = 1_0",
                             "a = +1",
                             "a = \"\\n\"",
                             "a = \"\"\"x\"\"\"",
                             "a = '''x'''",
                             "a = {}",
                             "a = [[1]]",
                             "a = [\n1]",
                             "[[a]]",
                             "[a]\n[a]",
                             "[a.b]\n[a]",
                             "a = 1\na = 2",
                             "a = 1\n[a]",
                             "a = 1\n[a.b]",
                             "[a]\nb = 1\n[a.b]",
                             "# \xc3\xa9",
                             "a = \"\xc3\xa9\"",
                             "a = 1\r\n",
                             "a = 1979-05-27",
                             "a = [1 2]",
                             "a = [,]",
                             "a = 1 b = 2",
                             "a",
                             "a =",
                             "= 1",
                             "[a",
                             "[]",
                             "[a.]",
                             "a = \"x",
                             "a = truex",
                             "\"a\" = 1",
                             "a = -",
                             "a = \"b\"\"",
                             "a = 99999999999999999999"}) {
        Value value;
        EXPECT_FALSE(read_plain_toml(text, 0, value)) << text;
    }
}

TEST(PlainToml, AgreesOnTheExamples) {
    int agreed = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(ABIDE_SOURCE_DIR)) {
        if (entry.path().extension() != ".toml") continue;
        std::ifstream file(entry.path());
        std::stringstream text;
        text << file.rdbuf();
        agreed += same(text.str()) ? 1 : 0;
    }
    EXPECT_GT(agreed, 0);
}

TEST(PlainToml, AgreesWhateverIsChangedInAText) {
    const std::string base = kPlain, letters = "a1-_.=[]\"'#, \t\n{}+:tf\\";
    std::mt19937 random(4711);
    int agreed = 0;
    for (int round = 0; round < 20'000 && !HasFailure(); ++round) {
        std::string text = base;
        for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
            const std::size_t at = random() % text.size();
            const char letter = letters[random() % letters.size()];
            switch (random() % 4) {
                case 0: text[at] = letter; break;
                case 1: text.insert(at, 1, letter); break;
                case 2: text.erase(at, 1 + random() % 8); break;
                default: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
            }
        }
        agreed += same(text) ? 1 : 0;
    }
    EXPECT_GT(agreed, 1000);
}
