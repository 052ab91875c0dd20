// A FileView made of a map, so that tests need no disk.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace abide::config {

class MapFiles : public FileView {
  public:
    std::map<std::string, std::string> files;
    std::set<std::string> loops;  // reading these fails as a loop of symbolic links does
    std::map<std::string, int> reads;

    Result<std::string> read(const std::string& path) override {
        ++reads[path];
        if (loops.contains(path)) return fail(ErrorKind::failed, "Too many levels of symbolic links");
        const auto found = files.find(path);
        if (found == files.end()) return fail(ErrorKind::not_found, "No such file or directory");
        return found->second;
    }
    Result<std::vector<std::string>> list(const std::string& directory, std::string_view suffix) override {
        std::vector<std::string> names;
        for (const auto& [path, text] : files) {
            const std::size_t slash = path.rfind('/');
            if (slash != std::string::npos && path.substr(0, slash) == directory && path.ends_with(suffix))
                names.push_back(path);
        }
        return names;
    }
};

inline LoadContext root_context() {
    return {"/srv/shop", "shop", Mode::project, true};
}

inline Loaded load_one(std::string text, LoadContext context = root_context()) {
    MapFiles files;
    files.files["/srv/shop/abide.toml"] = std::move(text);
    return load({"/srv/shop/abide.toml"}, files, context);
}

inline std::string errors_of(const Loaded& loaded) {
    std::string text;
    for (const Diagnostic& diagnostic : loaded.diagnostics) text += format(diagnostic) + "\n";
    return text;
}

inline const model::ServiceSpec* find(const Loaded& loaded, std::string_view name) {
    for (const model::ServiceSpec& spec : loaded.configuration.services) {
        if (spec.name == name) return &spec;
    }
    return nullptr;
}

}  // namespace abide::config
