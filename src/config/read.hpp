// config/read.hpp -- one value at a time: checks its type and bounds by its row of the table of keys, and stores it.
//
// Every error names the path of the key (`services.api.ready.timeout`) and the position of the value.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/keys.hpp"
#include "config/report.hpp"
#include "config/value.hpp"
#include "model/spec.hpp"
#include "model/text.hpp"

namespace abide::config {

// The path `path` as seen from `base`; absolute ones stay.  "." and ".." are folded, so that equal paths compare equal.
std::string join_path(std::string_view base, std::string_view path);

class Reader {
  public:
    // What %i means in the service being read.
    enum class Instance { none, named, pattern };

    Reader(Report& report, const LoadContext& context) : report_(report), context_(context) {}

    const LoadContext& context() const { return context_; }
    const std::string& service() const { return service_; }
    // From now on the table of this service is read; an empty name ends that.
    void enter_service(std::string_view name);
    Instance instance() const { return instance_; }

    void error(Position position, std::string text, std::string advice = {});
    void wrong_type(const KeyInfo& key, const Value& value);
    bool expect(const KeyInfo& key, const Value& value, ValueType type);

    void read(const KeyInfo& key, const Value& value, bool& target);
    void read(const KeyInfo& key, const Value& value, std::string& target);
    void read(const KeyInfo& key, const Value& value, Duration& target);
    void read(const KeyInfo& key, const Value& value, std::vector<std::string>& target);
    void read(const KeyInfo& key, const Value& value, model::Command& target);
    void read(const KeyInfo& key, const Value& value, std::vector<model::Command>& target);
    void read(const KeyInfo& key, const Value& value, std::vector<model::ExitMatch>& target);
    void read(const KeyInfo& key, const Value& value, std::vector<model::Variable>& target);
    template <std::integral T>
    void read(const KeyInfo& key, const Value& value, T& target) {
        std::int64_t number = 0;
        if (read_number(key, value, number)) target = static_cast<T>(number);
    }
    template <class E>
        requires std::is_enum_v<E>
    void read(const KeyInfo& key, const Value& value, E& target) {
        std::string_view chosen;
        if (!read_choice(key, value, chosen)) return;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) {
            if (model::to_text(d.value) == chosen) target = d.value;
        });
    }
    // A fraction in thousandths.
    void read_milli(const KeyInfo& key, const Value& value, std::uint32_t& target);
    bool read_choice(const KeyInfo& key, const Value& value, std::string_view& chosen);
    bool read_number(const KeyInfo& key, const Value& value, std::int64_t& number);
    // One string of a list.
    bool read_item(const KeyInfo& key, const Value& item, std::string& text);
    // A text in which %i and ${} may stand: %i is replaced now (not in templates), of ${} the syntax is checked.
    bool read_expandable(const KeyInfo& key, const Value& value, std::string& target);
    // A text in which only %i may stand.
    bool read_instance_text(const KeyInfo& key, const Value& value, std::string& target);

    // The path of the key being read, for messages.
    std::string path() const;
    class Nest {
      public:
        Nest(Reader& reader, std::string_view name) : reader_(reader) { reader_.path_.push_back(name); }
        Nest(const Nest&) = delete;
        Nest& operator=(const Nest&) = delete;
        ~Nest() { reader_.path_.pop_back(); }

      private:
        Reader& reader_;
    };

  private:
    bool substitute(Position position, std::string& text);
    bool check_size(const Value& value, const std::string& text);
    bool read_size(const KeyInfo& key, const Value& value, std::int64_t& number);
    bool read_signal(const KeyInfo& key, const Value& value, std::int64_t& number);
    bool read_octal(const KeyInfo& key, const Value& value, std::int64_t& number);

    Report& report_;
    const LoadContext& context_;
    std::string service_;
    Instance instance_ = Instance::none;
    std::vector<std::string_view> path_;
};

// Reports an unknown word, with the likeliest of `known`.
std::string suggestion(std::string_view word, std::span<const std::string_view> known);

}  // namespace abide::config
