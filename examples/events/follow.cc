// Says which services end badly, as it happens, and where to go on the next time.
//
//     follow FOLDER [CURSOR [SECONDS]]      the folder of events: `abide where --json`
#include <abide/events.hpp>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    namespace events = abide::events;
    if (argc < 2) return std::fputs("usage: follow FOLDER [CURSOR [SECONDS]]\n", stderr), 2;
    const auto complain = [](const events::ReadError& error) {
        std::fprintf(stderr, "%s%s%s\n", error.message.c_str(), error.advice.empty() ? "" : "; ", error.advice.c_str());
        return 1;
    };
    events::Options options;
    options.types = {"service.failed", "process.exited"};
    options.prompt = true;  // we do nothing else
    if (argc > 2) {
        const auto cursor = events::Cursor::parse(argv[2]);
        if (!cursor) return complain(cursor.error());
        options.start = events::Start::after;
        options.after = *cursor;
    }
    auto reader = events::Reader::open(argv[1], options);
    if (!reader) return complain(reader.error());
    const auto patience = std::chrono::seconds(argc > 3 ? std::atoi(argv[3]) : 3600);
    for (;;) {
        const auto event = reader->wait(patience);
        if (!event) return complain(event.error());
        if (!*event) break;
        if ((*event)->is_gap()) std::puts("some were missed");
        std::printf("%s %s (run %llu)\n", (*event)->subject.c_str(), (*event)->type.c_str(),
                    static_cast<unsigned long long>((*event)->run));
    }
    std::printf("next time from %s\n", reader->cursor().text().c_str());
    return 0;
}
