// tests/unit/logger/fixture.hpp -- a log directory that is removed in the end, files as text, and a store with a clock
// by hand.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/files.hpp"
#include "logger/compressor.hpp"
#include "logger/store.hpp"

namespace abide::logger::testing {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kStart = 1'795'251'600 * kSecond;  // 2026-11-21T09:00:00Z

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/abide-log-XXXXXX";
        EXPECT_NE(::mkdtemp(name), nullptr);
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] kernel::Fd open() const { return std::move(*kernel::open_directory(path_)); }

  private:
    std::string path_;
};

inline std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), 0640);
    ::chmod(std::filesystem::path(path).parent_path().c_str(), 0750);
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

// The texts of a file's lines, "+" before those that continue.
inline std::vector<std::string> texts_of(const std::string& file) {
    std::vector<std::string> texts;
    for (const std::string& line : lines_of(slurp(file))) {
        const auto head = parse_head(line);
        texts.push_back(!head ? "no head: " + line : (head->continues ? "+" : "") + line.substr(kHeadBytes));
    }
    return texts;
}

inline std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    if (!std::filesystem::exists(path)) return names;
    for (const auto& entry : std::filesystem::directory_iterator(path)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

// One pipe's view of a store.
struct Pen {
    Store& store;
    std::uint32_t service;
    std::uint32_t id;
    Instant now{kStart, kSecond};
    LineState line{};
    bool resumed = false;

    void write(std::string_view text) {
        store.append(service, {id, &line, resumed}, text, now);
        resumed = false;
    }
    void end() { store.end_line(service, {id, &line, false}, now); }
    void pass(std::int64_t ns) {
        now.wall_ns += ns;
        now.mono_ns += ns;
    }
};

struct Bench {
    Folder folder;
    Compressor compressor;
    Store store{compressor};
    std::uint32_t pens = 0;

    Bench() { store.set_directory(folder.open()); }
    Pen pen(const std::string& service, model::LogSpec spec = {}) {
        return Pen{store, *store.acquire(service, spec), ++pens};
    }
    void compress_all() {
        while (!compressor.idle()) compressor.step();
    }
};

}  // namespace abide::logger::testing
