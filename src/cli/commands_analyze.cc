// cli/commands_analyze.cc -- analyze: how the instance came up, told by its events.
#include <fcntl.h>

#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "cli/start_report.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

CommandResult analyze_command(Context& context, const AnalyzeOptions& options) {
    if (options.what == "plot" && options.file.empty())
        return fail(ErrorKind::usage, "plot: no file is named", "like `abide analyze plot start.svg`");
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    if (const auto opened = open_events(*places); !opened) return std::unexpected(opened.error());
    const auto folder = events_folder(*places);
    if (!folder) return std::unexpected(folder.error());
    events::Options wanted;
    wanted.start = events::Start::beginning;
    auto reader = events::Reader::open(*folder, wanted);
    if (!reader) return std::unexpected(error_of(reader.error()));
    StartReport report;
    const auto see = [&](events::Event event) { report.see(std::move(event)); };
    if (const Status begun = each_current(*places, see); !begun) return std::unexpected(begun.error());
    for (;;) {
        auto event = reader->next();
        if (!event) return std::unexpected(error_of(event.error()));
        if (!*event) break;
        report.see(std::move(**event));
    }
    if (report.empty()) return fail(ErrorKind::not_found, "no service was started yet, as far as the event log knows");
    if (options.what == "plot") {
        const std::string picture = report.plot();
        auto file = kernel::open_file(options.file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (!file) return std::unexpected(file.error());
        if (const Status written = kernel::write_all(file->get(), picture.data(), picture.size()); !written)
            return std::unexpected(written.error());
        return 0;
    }
    const bool chain = options.what == "critical-chain";
    if (context.json())
        context.print(chain ? report.critical_chain_json() : report.blame_json());
    else
        context.print(chain ? report.critical_chain() : report.blame());
    return 0;
}

}  // namespace abide::cli
