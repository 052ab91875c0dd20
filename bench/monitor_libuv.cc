// bench/monitor_libuv.cc -- libuv on the same job.
#include <uv.h>

#include <memory>

#include "monitor.hpp"

namespace bench {
namespace {

class Libuv : public Subject {
  public:
    Libuv() { uv_timer_init(uv_default_loop(), &timer_); }
    void start(const char* program, int code, int input) override {
        auto* child = std::make_unique<Child>().release();
        child->owner = this;
        child->code = code;
        std::string name = program, argument = std::to_string(code);
        char* arguments[] = {name.data(), argument.data(), nullptr};
        char* environment[] = {nullptr};
        uv_stdio_container_t io[3];
        io[0].flags = io[1].flags = io[2].flags = UV_INHERIT_FD;
        io[0].data.fd = input;
        io[1].data.fd = 1;
        io[2].data.fd = 2;
        uv_process_options_t options{};
        options.file = program;
        options.args = arguments;
        options.env = environment;
        options.stdio = io;
        options.stdio_count = 3;
        options.exit_cb = ended;
        child->process.data = child;
        if (uv_spawn(uv_default_loop(), &child->process, &options) != 0) die("uv_spawn");
    }
    void turn() override {
        uv_timer_start(&timer_, [](uv_timer_t*) {}, 100, 0);
        uv_run(uv_default_loop(), UV_RUN_ONCE);
    }

  private:
    struct Child {
        uv_process_t process;
        Libuv* owner = nullptr;
        int code = 0;
    };
    static void ended(uv_process_t* process, std::int64_t status, int) {
        auto* child = static_cast<Child*>(process->data);
        ++child->owner->told;
        child->owner->wrong += status == child->code ? 0 : 1;
        uv_close(reinterpret_cast<uv_handle_t*>(process),
                 [](uv_handle_t* handle) { const std::unique_ptr<Child> gone(static_cast<Child*>(handle->data)); });
    }
    uv_timer_t timer_;
};

}  // namespace

Subject* make_libuv() {
    static Libuv libuv;
    return &libuv;
}

}  // namespace bench
