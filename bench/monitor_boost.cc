// bench/monitor_boost.cc -- Boost.Process v2 on the same job.
// Its headers of version 1.81 need these before them.
// clang-format off
#define BOOST_PROCESS_USE_STD_FS 1
#include <boost/optional.hpp>
#include <boost/type_traits.hpp>
// clang-format on
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <memory>
#include <optional>
#include <type_traits>
#include <unordered_map>

#include "monitor.hpp"

namespace bench {
namespace {

namespace process = boost::process::v2;

class Boost : public Subject {
  public:
    void start(const char* program, int code, int input) override {
        const std::uint64_t id = ++last_;
        auto [at, fresh] = children_.emplace(
            id, process::process(context_, program, {std::to_string(code)}, process::process_stdio{input, {}, {}}));
        at->second.async_wait([this, id, code](const boost::system::error_code& error, int status) {
            ++told;
            wrong += !error && status == code ? 0 : 1;
            children_.erase(id);
        });
    }
    void turn() override {
        // Between two bursts it was out of work, and stopped.
        if (context_.stopped()) context_.restart();
        context_.run_one_for(std::chrono::milliseconds(100));
    }

  private:
    boost::asio::io_context context_{1};
    std::unordered_map<std::uint64_t, process::process> children_;
    std::uint64_t last_ = 0;
};

}  // namespace

Subject* make_boost() {
    static Boost boost;
    return &boost;
}

}  // namespace bench
