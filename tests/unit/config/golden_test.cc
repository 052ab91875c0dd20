// Each bad configuration in tests/fixtures/config has its exact messages beside it: NAME.toml and NAME.expected.
// Messages are what users see of the loader, so a change of one must show.  ABIDE_WRITE=1 writes them anew, and the
// generated pages too.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/keys.hpp"
#include "files.hpp"

namespace abide::config {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// The real files of one folder, and nothing else.
class FolderFiles : public FileView {
  public:
    explicit FolderFiles(fs::path root) : root_(std::move(root)) {}
    Result<std::string> read(const std::string& path) override {
        if (!fs::is_regular_file(root_ / path)) return fail(ErrorKind::not_found, "No such file or directory");
        return slurp(root_ / path);
    }
    Result<std::vector<std::string>> list(const std::string&, std::string_view) override {
        return std::vector<std::string>{};
    }

  private:
    fs::path root_;
};

void expect_same(const fs::path& path, const std::string& text) {
    if (std::getenv("ABIDE_WRITE") != nullptr) std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(slurp(path), text) << path << " differs; ABIDE_WRITE=1 writes it anew";
}

TEST(Golden, MessagesOfBadConfigurations) {
    const fs::path folder = fs::path(ABIDE_SOURCE_DIR) / "tests/fixtures/config";
    std::size_t count = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".toml" || entry.path().stem().string().starts_with("part-")) continue;
        FolderFiles files(folder);
        const bool plain = entry.path().stem() == "plain-user";
        const Loaded loaded =
            load({entry.path().filename().string()}, files, {"/srv/shop", "shop", Mode::project, !plain});
        fs::path expected = entry.path();
        expect_same(expected.replace_extension(".expected"), errors_of(loaded));
        EXPECT_FALSE(loaded.ok) << entry.path();
        ++count;
    }
    EXPECT_GE(count, 20u);
}

TEST(Golden, GeneratedPages) {
    const fs::path docs = fs::path(ABIDE_SOURCE_DIR) / "docs";
    expect_same(docs / "abide.schema.json", schema_json());
    expect_same(docs / "abide.toml.md", reference_markdown());
}

}  // namespace
}  // namespace abide::config
