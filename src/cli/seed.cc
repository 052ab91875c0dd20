// cli/seed.cc -- see seed.hpp.
#include "cli/seed.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "base/version.hpp"
#include "config/load.hpp"
#include "journal/writer.hpp"
#include "model/codec.hpp"
#include "model/state.hpp"

namespace abide::cli {

namespace {

std::vector<model::ServiceSpec>::iterator find_spec(model::Configuration& configuration, std::string_view name) {
    return std::ranges::find(configuration.services, name, &model::ServiceSpec::name);
}

std::unexpected<Error> no_such_service(const model::Configuration& configuration, const std::string& name) {
    std::vector<std::string_view> names;
    for (const model::ServiceSpec& one : configuration.services) names.push_back(one.name);
    const auto like = closest(name, names);
    return fail(ErrorKind::not_found, name + ": the configuration has no such service",
                like ? "did you mean " + std::string(*like) + "?" : "`abide graph` lists them");
}

Status add_chosen(model::Configuration& configuration, const std::string& name) {
    if (const auto found = find_spec(configuration, name); found != configuration.services.end()) {
        if (!found->is_template) return {};
        return fail(ErrorKind::usage, name + " is a template", "name an instance: " + name + "NAME");
    }
    const std::size_t at = name.find('@');
    if (at == std::string::npos) return no_such_service(configuration, name);
    const auto pattern = find_spec(configuration, name.substr(0, at + 1));
    if (pattern == configuration.services.end()) return no_such_service(configuration, name);
    auto made = config::instantiate(*pattern, name.substr(at + 1));
    if (!made) return std::unexpected(made.error());
    const auto place = std::ranges::lower_bound(configuration.services, made->name, {}, &model::ServiceSpec::name);
    configuration.services.insert(place, std::move(*made));
    return {};
}

}  // namespace

Result<std::string> seed_journal(Seed seed) {
    for (const std::string& name : seed.chosen) {
        if (const Status added = add_chosen(seed.configuration, name); !added) return std::unexpected(added.error());
    }
    journal::Writer writer(Epoch{0});
    writer.append_header(journal::own_header(version()));
    writer.append_boot(seed.boot);
    for (const model::ServiceSpec& spec : seed.configuration.services) {
        const model::SpecText text = model::encode_spec(spec);
        if (!journal::fits(text)) return fail(ErrorKind::refused, spec.name + ": its configuration is too large");
        writer.append_new_spec(text);
        model::Service service;
        service.name = spec.name;
        service.spec = text.hash;
        service.since = seed.now.wall;
        const auto said = seed.enabled.find(spec.name);
        service.enabled = said != seed.enabled.end() ? said->second : spec.autostart;
        if (std::ranges::find(seed.chosen, spec.name) != seed.chosen.end()) {
            service.want = model::Want::up;
            service.want_reason = model::Reason::requested;
            service.want_cause = "abide up";
        }
        writer.append_service(service);
    }
    model::Instance instance;
    instance.spec = seed.configuration.instance;
    instance.configuration = 1;
    instance.random = seed.random;
    const EventIds ids = seed.events();
    instance.last_event = EventId{ids.last};
    instance.reserved_events = EventId{ids.reserved};
    instance.stream = ids.stream;
    writer.append_instance(instance);
    return std::string(writer.take());
}

}  // namespace abide::cli
