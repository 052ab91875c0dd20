// A folder of its own for one test, gone afterwards.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace abide::cli {

class Scratch : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = "/tmp/abide-unit-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root = pattern;
        ::chmod(root.c_str(), 0755);
    }
    void TearDown() override { std::filesystem::remove_all(root); }

    std::string folder(const std::string& path, mode_t mode = 0755) const {
        std::filesystem::create_directories(root + path);
        ::chmod((root + path).c_str(), mode);
        return root + path;
    }
    std::string file(const std::string& path, const std::string& text = {}, mode_t mode = 0644) const {
        std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
        std::ofstream(root + path) << text;
        ::chmod((root + path).c_str(), mode);
        return root + path;
    }

    std::string root;
};

}  // namespace abide::cli
