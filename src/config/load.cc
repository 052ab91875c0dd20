// config/load.cc -- the story of loading: gather the tables, read each service, make instances, resolve names.
#include "config/load.hpp"

#include <algorithm>
#include <deque>
#include <map>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "config/environment.hpp"
#include "config/expand.hpp"
#include "config/instance.hpp"
#include "config/resolve.hpp"
#include "config/sources.hpp"
#include "config/tables.hpp"

namespace abide::config {

namespace {

class Load {
  public:
    Load(FileView& files, const LoadContext& context)
        : context_(context), sources_(files, context, report_), reader_(report_, context) {}

    Sources& sources() { return sources_; }

    Loaded finish(bool open) {
        Loaded loaded;
        loaded.configuration.instance = read_instance(loaded.runtime);
        read_services();
        // A file that could not be read may define any name, so none is called unknown then.
        resolve(drafts_, report_, open || !sources_.complete());
        loaded.ok = !report_.failed();
        loaded.diagnostics = report_.take();
        loaded.files = sources_.read();
        loaded.configuration.services.reserve(drafts_.size());
        for (Draft& draft : drafts_) loaded.configuration.services.push_back(std::move(draft));
        std::ranges::sort(loaded.configuration.services, {}, &model::ServiceSpec::name);
        return loaded;
    }

  private:
    model::InstanceSpec read_instance(std::string& runtime) {
        ProjectDraft project;
        project.instance.name = context_.instance_name;
        project.instance.directory = context_.directory;
        const KeyInfo key{.shape = Shape::table};
        {
            const Reader::Nest nest(reader_, "project");
            read_table(reader_, key, kProjectKeys, sources_.project(), project);
        }
        {
            const Reader::Nest nest(reader_, "control");
            read_table(reader_, key, kControlKeys, sources_.control(), project.instance);
        }
        if (!sources_.events().members.empty()) {
            const Reader::Nest nest(reader_, "events");
            model::EventsSpec events;
            read_table(reader_, key, kEventsKeys, sources_.events(), events);
            if (events != model::EventsSpec{}) project.instance.events.ensure() = events;
        }
        runtime = std::move(project.runtime);
        common_ = std::move(project.environment);
        return std::move(project.instance);
    }

    void read_services() {
        std::size_t bytes = 0;
        for (const auto& [name, entry] : sources_.services()) {
            Draft& draft = drafts_.emplace_back();
            draft.name = name;
            draft.position = entry.position;
            draft.source = {report_.file(entry.position.file), entry.position.line, entry.position.column};
            reader_.enter_service(name);
            read_service(reader_, entry.table, draft);
            complete_environment(draft);
            check_bytes(draft, bytes);
            if (bytes > limits::kConfigurationBytes) break;
        }
    }

    void check_bytes(const Draft& draft, std::size_t& total) {
        const std::size_t bytes = text_bytes(draft);
        total += bytes;
        if (bytes > limits::kServiceBytes) {
            reader_.error(draft.position, "its texts have more than " + format_size(limits::kServiceBytes) +
                                              " bytes, with its environment");
        }
        if (total > limits::kConfigurationBytes) {
            reader_.error(draft.position,
                          "all texts together have more than " + format_size(limits::kConfigurationBytes) + " bytes");
        }
    }

    // The literal values of a file, read once however many services name it.
    const std::vector<model::Variable>& environment_file(const std::string& named, Position named_at) {
        const bool may_be_missing = named.starts_with('-');
        const std::string path =
            join_path(folder_of(report_.file(named_at.file)), std::string_view(named).substr(may_be_missing ? 1 : 0));
        const auto [entry, fresh] = environment_files_.try_emplace({path, may_be_missing});
        if (!fresh) return entry->second;
        std::string text;
        std::uint32_t index = 0;
        if (sources_.read_other(path, may_be_missing, named_at, text, index))
            parse_environment(text, index, report_, entry->second);
        return entry->second;
    }

    // [project] environment, then files, then the service's own without what the files override.
    void complete_environment(Draft& draft) {
        if (common_.empty() && draft.environment_files.empty()) return;
        const bool pattern = draft.is_template;
        std::vector<model::Variable> all;
        for (const model::Variable& variable : common_) {
            all.push_back({variable.name, pattern ? escape_instance(variable.value) : variable.value});
        }
        std::map<std::string_view, std::size_t> from_files;
        for (const auto& [path, position] : draft.environment_files) {
            for (const model::Variable& variable : environment_file(path, position)) {
                std::string value = escape_references(variable.value);
                if (pattern) value = escape_instance(value);
                const auto [entry, fresh] = from_files.try_emplace(variable.name, all.size());
                if (fresh) {
                    all.push_back({variable.name, std::move(value)});
                } else {
                    all[entry->second].value = std::move(value);
                }
            }
        }
        for (model::Variable& variable : draft.environment) {
            if (!from_files.contains(variable.name)) all.push_back(std::move(variable));
        }
        draft.environment = std::move(all);
    }

    const LoadContext& context_;
    Report report_;
    Sources sources_;
    Reader reader_;
    std::vector<model::Variable> common_;
    std::map<std::pair<std::string, bool>, std::vector<model::Variable>> environment_files_;
    std::deque<Draft> drafts_;  // references stay while instances are added
};

}  // namespace

Loaded load(const std::vector<std::string>& entries, FileView& files, const LoadContext& context) {
    Load load(files, context);
    for (const std::string& entry : entries) load.sources().add_entry(entry);
    return load.finish(false);
}

Loaded load_text(const std::string& name, std::string text, FileView& files, const LoadContext& context) {
    Load load(files, context);
    load.sources().add_text(name, text);
    return load.finish(true);
}

}  // namespace abide::config
