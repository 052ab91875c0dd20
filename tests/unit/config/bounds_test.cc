// Hostile and huge input: every bound refuses with one clear error, nothing crashes, and nothing takes more than linear
// time.
#include <gtest/gtest.h>

#include <chrono>

#include "base/limits.hpp"
#include "files.hpp"

namespace abide::config {
namespace {

bool has_error(const Loaded& loaded, std::string_view text) {
    return !loaded.ok && errors_of(loaded).find(text) != std::string::npos;
}

TEST(Bounds, AFileThatIsTooLong) {
    const Loaded loaded = load_one(std::string(limits::kConfigFileBytes + 1, '#'));
    EXPECT_TRUE(has_error(loaded, "abide.toml: error: the file has more than 16M bytes")) << errors_of(loaded);
}

TEST(Bounds, ALoopOfSymbolicLinks) {
    MapFiles files;
    files.loops = {"/srv/shop/abide.toml"};
    const Loaded loaded = load({"/srv/shop/abide.toml"}, files, root_context());
    EXPECT_TRUE(has_error(loaded, "/srv/shop/abide.toml: error: can't be read: Too many levels of symbolic links"))
        << errors_of(loaded);
}

TEST(Bounds, AMissingFile) {
    MapFiles files;
    EXPECT_TRUE(has_error(load({"/srv/shop/abide.toml"}, files, root_context()), "can't be read: No such file"));
}

TEST(Bounds, IncludesThatAreTooDeep) {
    MapFiles files;
    for (int i = 0; i < 20; ++i) {
        files.files["/d/" + std::to_string(i) + ".toml"] = "include = [\"" + std::to_string(i + 1) + ".toml\"]\n";
    }
    EXPECT_TRUE(has_error(load({"/d/0.toml"}, files, root_context()),
                          "/d/15.toml:1:12: error: includes are more than 16 deep"));
}

TEST(Bounds, TooManyFiles) {
    MapFiles files;
    std::string list;
    for (int i = 0; i < 5000; ++i) {
        files.files["/d/" + std::to_string(i)] = "";
        list += "\"" + std::to_string(i) + "\",";
    }
    files.files["/d/abide.toml"] = "include = [" + list + "]\n";
    const Loaded loaded = load({"/d/abide.toml"}, files, root_context());
    EXPECT_TRUE(has_error(loaded, "more than 4096 files"));
    EXPECT_EQ(loaded.diagnostics.size(), 1u);
}

TEST(Bounds, TooManyErrorsAreCounted) {
    std::string text;
    for (int i = 0; i < 5000; ++i) text += "k" + std::to_string(i) + " = 1\n";
    const Loaded loaded = load_one(text);
    EXPECT_EQ(loaded.diagnostics.size(), 1001u);
    EXPECT_EQ(loaded.diagnostics.back().text, "4000 more errors");
}

TEST(Bounds, TextsThatMultiply) {
    const std::string big(100 << 10, 'x');
    EXPECT_TRUE(has_error(load_one("[services.a]\ncommand = [\"a\"]\nenvironment = { A = \"" + big + "\", B = \"" +
                                   big + "\", C = \"" + big + "\" }\n"),
                          "its texts have more than 256K bytes"));
    std::string text = "[project]\nenvironment = { A = \"" + big + "\" }\n";
    for (int i = 0; i < 1000; ++i) text += "[services.s" + std::to_string(i) + "]\ncommand = [\"a\"]\n";
    EXPECT_TRUE(has_error(load_one(text), "all texts together have more than 64M bytes"));
    std::string instances;
    for (int i = 0; i < 1000; ++i) instances += "\"i" + std::to_string(i) + "\",";
    EXPECT_TRUE(
        has_error(load_one("[services.\"a@\"]\ncommand = [\"a\", \"" + big + "\"]\ninstances = [" + instances + "]\n"),
                  "too many instances of templates"));
    EXPECT_TRUE(
        has_error(load_one("[services.a]\ncommand = [\"a\", \"" + big + big + "\"]\n"), "longer than 128K bytes"));
}

TEST(Bounds, TooManyServices) {
    std::string text;
    for (int i = 0; i < 20001; ++i) text += "[services.s" + std::to_string(i) + "]\ncommand = [\"a\"]\n";
    EXPECT_TRUE(has_error(load_one(text), "more than 20000 services"));
}

std::string many_services(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += "[services.service-" + std::to_string(i) + "]\ncommand = [\"./program\", \"--number\", \"" +
                std::to_string(i) + "\"]\n";
        text += "environment = { PORT = \"" + std::to_string(8000 + i) +
                "\" }\nready = { notify = true, timeout = \"30s\" }\n";
        text += "restart = \"always\"\nlimits = { nofile = 1024 }\n";
        if (i > 0) text += "requires = [\"service-" + std::to_string(i - 1) + ":started\"]\n";
    }
    return text;
}

double load_seconds(int count) {
    const std::string text = many_services(count);
    const auto begin = std::chrono::steady_clock::now();
    const Loaded loaded = load_one(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_TRUE(loaded.ok) << errors_of(loaded).substr(0, 500);
    EXPECT_EQ(loaded.configuration.services.size(), static_cast<std::size_t>(count));
    return took.count();
}

TEST(Bounds, AChainOfTenThousandServicesTakesLinearTime) {
    const double small = std::min({load_seconds(1000), load_seconds(1000), load_seconds(1000)});
    const double large = load_seconds(10000);
    RecordProperty("ms_1000", std::to_string(small * 1000));
    RecordProperty("ms_10000", std::to_string(large * 1000));
    std::printf("1000 services: %.1f ms, 10000: %.1f ms\n", small * 1000, large * 1000);
    // Quadratic work would make it 100 times.
    EXPECT_LT(large, small * 40 + 0.5);
}

TEST(Bounds, MutationsOfAGoodFileNeverCrash) {
    const std::string good = R"([project]
name = "x"
[services."w@"]
command = "./w ${A:-b} %i"
instances = ["1"]
ready = { tcp = "127.0.0.1:80", timeout = "1s" }
sockets = [{ listen = "unix:a/b", mode = "0600" }]
[services.b]
command = ["b", "c"]
requires = ["w@2:started", { service = "w@1", for = "healthy" }]
limits = { nofile = { soft = 1, hard = 2 }, memory-max = "1M" }
restart-delay = { factor = 1.5 }
)";
    constexpr std::string_view kBytes = "\"'[]{}=.,#\n\\$%@:-0aZ \x01\xff";
    std::uint64_t random = 88172645463325252u;
    const auto next = [&] {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return random;
    };
    std::size_t refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string text = good;
        for (std::uint64_t edits = 1 + next() % 4; edits > 0; --edits) {
            const std::size_t at = next() % text.size();
            const char byte = kBytes[next() % kBytes.size()];
            switch (next() % 3) {
                case 0: text[at] = byte; break;
                case 1: text.insert(at, 1, byte); break;
                default: text.erase(at, 1 + next() % 5); break;
            }
        }
        const Loaded loaded = load_one(text);
        EXPECT_EQ(loaded.ok, loaded.diagnostics.empty());
        for (const Diagnostic& diagnostic : loaded.diagnostics)
            EXPECT_EQ(format(diagnostic).find('\n'), std::string::npos);
        if (!loaded.ok) ++refused;
    }
    EXPECT_GT(refused, 1000u);
}

TEST(Bounds, AMessageIsOneLineWithoutControlBytes) {
    EXPECT_EQ(format({Severity::error, "a\nb", 1, 2, "x\x1b[2J", "y"}), "a\\x0ab:1:2: error: x\\x1b[2J; y");
    EXPECT_EQ(format({Severity::warning, "f", 0, 0, "x", ""}), "f: warning: x");
}

}  // namespace
}  // namespace abide::config
