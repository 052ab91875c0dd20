// Inside a libuv loop: a uv_poll_t on the monitor's descriptor.  libuv's own processes are left alone.
#include <uv.h>
#include <abide/monitor.hpp>

#include <cstdio>

namespace {
int libuv_status = -1, our_status = -1;
}

int main() {
    uv_loop_t* loop = uv_default_loop();
    auto monitor = abide::monitor::create().value();
    uv_poll_t poll;
    uv_poll_init(loop, &poll, monitor.fd());
    poll.data = &monitor;
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
        auto& mine = *static_cast<abide::monitor*>(handle->data);
        mine.dispatch();
        if (mine.watched() == 0) uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
    });

    char program[] = "/bin/sh", option[] = "-c", script[] = "exit 4";
    char* arguments[] = {program, option, script, nullptr};
    uv_process_options_t options{};
    options.file = program;
    options.args = arguments;
    options.exit_cb = [](uv_process_t* handle, std::int64_t status, int) {
        libuv_status = static_cast<int>(status);
        uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
    };
    uv_process_t theirs;
    if (uv_spawn(loop, &theirs, &options) != 0) return 1;
    auto ours = monitor.spawn(abide::command("sh", {"-c", "exit 5"}), abide::leave::kill,
                              [](const abide::exit_event& e) { our_status = e.status.code().value_or(-1); });
    if (!ours) return 1;
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    std::printf("libuv's child: %d, ours: %d\n", libuv_status, our_status);
    return libuv_status == 4 && our_status == 5 ? 0 : 1;
}
