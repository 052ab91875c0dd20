// Configuration from any text: errors or a model, never both; a model that was accepted is valid for the core, fits the
// journal, and its templates can be instantiated.
#include <map>

#include "config/load.hpp"
#include "core/graph.hpp"
#include "fuzz.hpp"
#include "journal/writer.hpp"
#include "model/codec.hpp"

namespace {

using namespace abide;
using fuzz::demand;

// The input is the one file, whatever its name, so that it may include itself and be its own environment file.
class OneFile : public config::FileView {
  public:
    explicit OneFile(std::string_view text) : text_(text) {}
    Result<std::string> read(const std::string& path) override {
        if (path.ends_with("missing") || path.find('\0') != std::string::npos)
            return fail(ErrorKind::not_found, "No such file or directory");
        return text_;
    }
    Result<std::vector<std::string>> list(const std::string&, std::string_view) override {
        return std::vector<std::string>{};
    }

  private:
    std::string text_;
};

void check(const config::Loaded& loaded) {
    bool errors = false;
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        errors = errors || diagnostic.severity == config::Severity::error;
        for (const char c : config::format(diagnostic))
            demand(static_cast<unsigned char>(c) >= ' ', "a control byte in a message");
    }
    demand(errors != loaded.ok, "errors and a model, or neither");
    if (!loaded.ok) return;
    for (const model::ServiceSpec& spec : loaded.configuration.services) {
        demand(journal::fits(model::encode_spec(spec)), "a service that the journal can't hold");
        if (spec.is_template) (void)config::instantiate(spec, "1");
    }
    std::string text;
    model::encode(text, loaded.configuration);
    const auto again = model::decode<model::Configuration>(text);
    demand(again && *again == loaded.configuration, "a configuration changes on its way");
    (void)core::validate(loaded.configuration);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 16384) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    OneFile files(text);
    const config::LoadContext context{"/srv/shop", "shop", config::Mode::project, true};
    check(config::load({"/srv/shop/abide.toml"}, files, context));
    check(config::load_text("-", std::string(text), files, context));
    return 0;
}
