// tests/unit/manager/event_folder.hpp -- an event log in a folder of its own, written as the manager writes it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "abide/events.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "manager/event_log.hpp"

namespace abide::test {

class EventFolder {
  public:
    EventFolder() {
        char name[] = "/tmp/abide-events-XXXXXX";
        EXPECT_NE(::mkdtemp(name), nullptr);
        root_ = name;
    }
    EventFolder(const EventFolder&) = delete;
    EventFolder& operator=(const EventFolder&) = delete;
    ~EventFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    [[nodiscard]] std::string path() const { return root_ + "/events"; }
    [[nodiscard]] manager::EventLog::Folder opener() const {
        return [root = root_]() -> Result<kernel::Fd> {
            const Result<kernel::Fd> above = kernel::open_directory(root);
            if (!above) return std::unexpected(above.error());
            return kernel::make_directory_beneath(above->get(), "events", 0750);
        };
    }
    // A manager that comes: `last` is what its journal says of the newest event.
    [[nodiscard]] manager::EventLog open(std::uint64_t last, std::string_view journaled = {},
                                         const model::InstanceSpec& spec = {}) const {
        manager::EventLog log(opener());
        log.set_source("shop", "");
        log.configure(spec);
        newest = log.take_over(journaled, EventId{last}, kernel::now()).value;
        return log;
    }
    static model::Event event(std::uint64_t id, std::string subject = "api",
                              model::EventType type = model::EventType::service_ready) {
        model::Event out;
        out.id = {id};
        out.type = type;
        out.subject = std::move(subject);
        out.time = kernel::now().wall;
        out.run = {3};
        out.pid = 4711;
        if (id > 1) out.cause = {id - 1};
        return out;
    }
    // Events with the ids [from, to], one batch.
    static void write(manager::EventLog& log, std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t id = from; id <= to; ++id) log.append(event(id));
        log.flush(kernel::now());
    }
    [[nodiscard]] std::vector<std::string> segments() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(path())) {
            if (entry.path().extension() == ".jsonl") names.push_back(entry.path());
        }
        std::sort(names.begin(), names.end());
        return names;
    }
    // What a reader sees from the beginning, or behind a cursor: "1 2 [3-5] 6", with gaps in brackets.
    [[nodiscard]] std::string seen(std::optional<std::uint64_t> after = {}) const {
        events::Options options;
        options.start = after ? events::Start::after : events::Start::beginning;
        options.after.id = after.value_or(0);
        auto reader = events::Reader::open(path(), options);
        if (!reader) return reader.error().message;
        return rest(*reader);
    }
    static std::string rest(events::Reader& reader) {
        std::string out;
        for (;;) {
            const auto event = reader.next();
            if (!event) return out + " " + event.error().message;
            if (!*event) return out;
            if (!out.empty()) out += " ";
            out += (*event)->is_gap()
                       ? "[" + std::to_string((*event)->gap_from) + "-" + std::to_string((*event)->id) + "]"
                       : std::to_string((*event)->id);
        }
    }

    mutable std::uint64_t newest = 0;

  private:
    std::string root_;
};

inline std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
inline void spill(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace abide::test
