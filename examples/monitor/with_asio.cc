// Inside a Boost.Asio io_context: wait for the monitor's descriptor, dispatch, wait again.
#include <abide/monitor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <functional>

int main() {
    using namespace std::chrono_literals;
    boost::asio::io_context context;
    auto monitor = abide::monitor::create().value();
    boost::asio::posix::stream_descriptor descriptor(context, monitor.fd());

    std::function<void()> watch = [&] {
        descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                              [&](const boost::system::error_code& e) {
                                  if (e) return;
                                  monitor.dispatch();
                                  if (monitor.watched() > 0) watch();
                              });
    };
    watch();

    bool right = false;
    auto process = monitor.spawn(abide::command("sleep", {"30"}), abide::leave::kill, [&](const abide::exit_event& e) {
        std::printf("sleep: %s, %s\n", to_string(e.status).c_str(), to_string(e.cause));
        right = e.cause == abide::exit_cause::asked;
    });
    if (!process) return 1;
    boost::asio::steady_timer timer(context, 50ms);
    timer.async_wait([&](const boost::system::error_code&) { static_cast<void>(process->stop()); });
    context.run();
    descriptor.release();  // the descriptor belongs to the monitor
    return right ? 0 : 1;
}
