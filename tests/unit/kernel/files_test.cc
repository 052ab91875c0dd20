// Files, folders, users, addresses, sockets, processes and waiting: the small parts of the kernel layer.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "kernel/file_writing.hpp"
#include "kernel/socket.hpp"
#include "kernel/users.hpp"
#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Files, ReadsAreBounded) {
    const Scratch scratch;
    ASSERT_TRUE(write_file_atomic(scratch / "f", std::string(1000, 'x')));
    EXPECT_EQ(read_file(scratch / "f", 1000)->size(), 1000U);
    EXPECT_EQ(read_file(scratch / "f", 999).error().kind, ErrorKind::refused);
    EXPECT_EQ(read_file("/dev/zero", 100'000).error().kind, ErrorKind::refused);
    EXPECT_EQ(read_file(scratch / "missing", 10).error().kind, ErrorKind::not_found);
    EXPECT_EQ(list_directory(open_directory(scratch.path)->get())->size(), 1U) << "no temporary file is left";
}

TEST(Files, OfOthersAreReadWhenTheyAreRegular) {
    const Scratch scratch;
    const std::string file = scratch.path + "/file", fifo = scratch.path + "/fifo", link = scratch.path + "/link";
    ASSERT_TRUE(write_file_atomic(file, "12345"));
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    ASSERT_EQ(::symlink(file.c_str(), link.c_str()), 0);
    for (const LastLink way : {LastLink::follow, LastLink::refuse}) {
        EXPECT_EQ(read_regular_file(file, 5, way).value_or(""), "12345");
        EXPECT_FALSE(read_regular_file(file, 4, way));
        EXPECT_EQ(read_regular_file("/dev/null", 4, way).value_or("x"), "");
        for (const std::string& other : {fifo, scratch.path, std::string("/dev/zero")}) {
            const Result<std::string> text = read_regular_file(other, 4, way);
            ASSERT_FALSE(text);
            EXPECT_EQ(text.error().what, other + ": not a regular file");
        }
        EXPECT_EQ(read_regular_file(scratch.path + "/none", 4, way).error().kind, ErrorKind::not_found);
    }
    EXPECT_EQ(read_regular_file(link, 5, LastLink::follow).value_or(""), "12345");
    EXPECT_FALSE(read_regular_file(link, 5, LastLink::refuse));
}

TEST(Files, StayBeneathTheirFolderInBothWays) {
    const Scratch scratch;
    ASSERT_TRUE(make_directories(scratch / "a/b"));
    ASSERT_TRUE(write_file_atomic(scratch / "a/b/file", "inside"));
    ASSERT_EQ(::symlink("/etc/passwd", (scratch / "a/link").c_str()), 0);
    ASSERT_EQ(::symlink("b", (scratch / "a/folder").c_str()), 0);
    const Result<Fd> top = open_directory(scratch / "a");
    for (auto* open : {&open_beneath, &open_beneath_by_steps}) {
        EXPECT_EQ(read_all((*open)(top->get(), "b/file", O_RDONLY, 0600)->get(), 100).value(), "inside");
        for (const char* bad : {"link", "folder/file", "../a/b/file", "b/../../a", "/etc/passwd", "", "b/missing"}) {
            EXPECT_FALSE((*open)(top->get(), bad, O_RDONLY, 0600)) << bad;
        }
    }
}

TEST(Files, PrivateDirectoriesArePrivate) {
    const Scratch scratch;
    EXPECT_TRUE(make_private_directory(scratch / "x/y/"));
    EXPECT_EQ(file_status(scratch / "x/y")->mode, 0700U);
    EXPECT_TRUE(make_private_directory(scratch / "x/y")) << "again";
    ::chmod((scratch / "x/y").c_str(), 0750);
    EXPECT_EQ(make_private_directory(scratch / "x/y").error().kind, ErrorKind::refused);
    ASSERT_EQ(::symlink("/root", (scratch / "link").c_str()), 0);
    EXPECT_FALSE(make_private_directory(scratch / "link"));
    if (::geteuid() == 0) {
        ASSERT_TRUE(make_private_directory(scratch / "theirs"));
        ASSERT_EQ(::chown((scratch / "theirs").c_str(), 1234, 1234), 0);
        EXPECT_EQ(make_private_directory(scratch / "theirs").error().kind, ErrorKind::refused);
    }
}

TEST(Files, RemovesTreesButNothingElse) {
    const Scratch scratch;
    ASSERT_TRUE(make_directories(scratch / "t/a/b/c"));
    ASSERT_TRUE(write_file_atomic(scratch / "keep", "x"));
    ASSERT_EQ(::symlink((scratch / "keep").c_str(), (scratch / "t/a/link").c_str()), 0);
    ASSERT_EQ(::symlink("/", (scratch / "t/root").c_str()), 0);
    const Result<Fd> top = open_directory(scratch.path);
    EXPECT_EQ(remove_tree_beneath(top->get(), "t", 3).error().kind, ErrorKind::refused);
    EXPECT_TRUE(remove_tree_beneath(top->get(), "t"));
    EXPECT_TRUE(remove_tree_beneath(top->get(), "t")) << "again";
    EXPECT_EQ(list_directory(top->get()).value(), std::vector<std::string>{"keep"});
    EXPECT_FALSE(remove_tree_beneath(top->get(), ".."));
    EXPECT_FALSE(remove_tree_beneath(top->get(), "a/b"));
}

TEST(Files, LocksAndSeals) {
    const Scratch scratch;
    const Result<Fd> first = open_file(scratch / "lock", O_RDWR | O_CREAT),
                     second = open_file(scratch / "lock", O_RDWR);
    EXPECT_FALSE(is_locked(scratch / "lock").value());
    EXPECT_TRUE(lock_exclusive(first->get()));
    EXPECT_EQ(lock_exclusive(second->get()).error().kind, ErrorKind::refused);
    EXPECT_TRUE(is_locked(scratch / "lock").value());
    EXPECT_FALSE(is_locked(scratch / "missing").value());
    const Result<Fd> file = make_memfd("test", "content");
    ASSERT_TRUE(seal_memfd(file->get()));
    EXPECT_EQ(write_some(file->get(), "x", 1).error().err, EPERM);
    const Result<Fd> again = reopen(file->get(), O_RDONLY);
    EXPECT_EQ(read_all(again->get(), 100).value(), "content");
}

// As a compaction of memory does it, or a process that reads by splice(2).
TEST(Files, AMemoryFileIsSealedAlthoughSomebodyHoldsAPage) {
    const Result<Fd> file = make_memfd("test", std::string(8192, 'x'));
    const Result<Pipe> pipe = make_pipe(true);
    loff_t at = 0;
    ASSERT_EQ(::splice(file->get(), &at, pipe->write.get(), nullptr, 4096, 0), 4096);
    ASSERT_TRUE(seal_memfd(file->get()));
    EXPECT_TRUE(is_sealed(file->get()));
    EXPECT_EQ(write_some(file->get(), "x", 1).error().err, EPERM);
}

TEST(Fds, AreMovedAndClosedOnce) {
    Result<Pipe> pipe = make_pipe(true);
    Fd a = std::move(pipe->read);
    EXPECT_FALSE(pipe->read.valid());
    const int number = a.get();
    EXPECT_TRUE(raise_above_staging(a));
    EXPECT_GE(a.get(), kStagingEnd);
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    EXPECT_EQ(::fcntl(a.get(), F_GETFD), FD_CLOEXEC);
    char c = 0;
    EXPECT_EQ(read_some(a.get(), &c, 1).value(), kNothingNow);
    pipe->write.reset();
    EXPECT_EQ(read_some(a.get(), &c, 1).value(), 0U);
    EXPECT_DEATH(
        {
            Fd twice(a.get());
            a.reset();
        },
        "closed twice");
}

TEST(Users, AreReadFromFilesOnly) {
    const Scratch scratch;
    const UserFiles files{scratch / "passwd", scratch / "group"};
    ASSERT_TRUE(write_file_atomic(files.passwd,
                                  "root:x:0:0:root:/root:/bin/sh\n#comment\nbroken:x\nodd:x:abc:1::/:/\n"
                                  "web:x:33:34:Web:/var/www:/bin/false\nbig:x:4294967295:1::/:/\n"));
    ASSERT_TRUE(write_file_atomic(files.group, "web:x:34:\nlogs:x:50:other,web\nx:x:51:webber\ny:x:60:web\n"));
    const Result<User> web = find_user("web", files);
    ASSERT_TRUE(web);
    EXPECT_EQ(web->uid, 33U);
    EXPECT_EQ(web->gid, 34U);
    EXPECT_EQ(web->home, "/var/www");
    EXPECT_EQ(groups_of(*web, files).value(), (std::vector<std::uint32_t>{34, 50, 60}));
    EXPECT_EQ(find_user("33", files)->name, "web");
    EXPECT_EQ(find_user("777", files)->uid, 777U);
    EXPECT_EQ(find_user("nobody-here", files).error().kind, ErrorKind::not_found);
    for (const char* odd : {"", "-x", "a b", "a:b", "a/b", "a\nb"}) EXPECT_FALSE(find_user(odd, files)) << odd;
    EXPECT_FALSE(find_user("odd", files));
    EXPECT_FALSE(find_user("big", files));
    EXPECT_EQ(find_group("logs", files).value(), 50U);
    EXPECT_EQ(find_group("99", files).value(), 99U);
    EXPECT_FALSE(find_group("none", files));
    EXPECT_EQ(user_name(33, files), "web");
    EXPECT_EQ(user_name(34, files), "34");
}

TEST(Users, CapabilityNames) {
    EXPECT_EQ(capability_mask({"CAP_CHOWN", "net_bind_service", "CAP_CHECKPOINT_RESTORE"}).value(),
              1U | (1U << 10) | (std::uint64_t{1} << 40));
    EXPECT_FALSE(capability_mask({"CAP_EVERYTHING"}));
}

TEST(Addresses, AreNumericOrFromHosts) {
    const Scratch scratch;
    const std::string hosts = scratch / "hosts";
    ASSERT_TRUE(write_file_atomic(hosts, "# x\n10.1.2.3 db.internal db # comment name\n::1 six\n"));
    EXPECT_EQ(parse_address("tcp:127.0.0.1:80", hosts)->family, AF_INET);
    EXPECT_EQ(parse_address("tcp:[::1]:80", hosts)->family, AF_INET6);
    EXPECT_EQ(parse_address("udp:*:80", hosts)->type, SOCK_DGRAM);
    EXPECT_EQ(parse_address("tcp:db:80", hosts)->family, AF_INET);
    EXPECT_EQ(parse_address("tcp:six:80", hosts)->family, AF_INET6);
    EXPECT_TRUE(parse_address("tcp:localhost:80", hosts));
    EXPECT_EQ(parse_address("unix:/run/x", hosts)->family, AF_UNIX);
    EXPECT_TRUE(parse_address("unix:@abstract", hosts));
    EXPECT_EQ(parse_address("tcp:name:80", hosts).error().kind, ErrorKind::not_found);
    for (const std::string bad : {"", "tcp:", "tcp:1.2.3.4", "tcp:1.2.3.4:", "tcp:1.2.3.4:x", "tcp:1.2.3.4:65536",
                                  "tcp:::1:80", "unix:", "ftp:1.2.3.4:5", "80"}) {
        EXPECT_FALSE(parse_address(bad, hosts)) << bad;
    }
    EXPECT_FALSE(parse_address("unix:/" + std::string(200, 'x'), hosts));
}

TEST(Sockets, ReplaceStaleFilesOnly) {
    const Scratch scratch;
    const std::string path = scratch / "socket";
    {
        const Result<Fd> first = listen_unix(path, 0600);
        ASSERT_TRUE(first);
        EXPECT_EQ(file_status(path)->mode, 0600U);
        EXPECT_EQ(listen_unix(path, 0600).error().kind, ErrorKind::refused) << "somebody listens";
    }
    EXPECT_TRUE(listen_unix(path, 0666)) << "left by a crash";
    EXPECT_EQ(file_status(path)->mode, 0666U);
    ASSERT_TRUE(write_file_atomic(scratch / "file", "x"));
    EXPECT_FALSE(listen_unix(scratch / "file", 0600));
}

TEST(Sockets, KnowTheirPeers) {
    const Scratch scratch;
    const Result<Fd> listener = listen_unix(scratch / "s", 0600, SOCK_SEQPACKET);
    EXPECT_FALSE(accept_connection(listener->get()).value().has_value());
    const Result<Fd> client = connect_unix(scratch / "s", SOCK_SEQPACKET);
    ASSERT_TRUE(client);
    const Result<std::optional<Fd>> server = accept_connection(listener->get());
    ASSERT_TRUE(server && *server);
    const Result<Peer> peer = peer_of((*server)->get());
    EXPECT_EQ(peer->pid, ::getpid());
    EXPECT_EQ(peer->uid, ::geteuid());
    EXPECT_TRUE(peer_groups((*server)->get()));
    const Result<Fd> pidfd = peer_pidfd((*server)->get());
    ASSERT_TRUE(pidfd);
    EXPECT_FALSE(has_ended(pidfd->get()));
    EXPECT_EQ(connect_unix(scratch / "none").error().kind, ErrorKind::unreachable);
}

TEST(Sockets, CarryDescriptorsAndCutNone) {
    Result<std::pair<Fd, Fd>> pair = make_socket_pair();
    const Result<Fd> null = open_file("/dev/null", O_RDONLY);
    const std::vector<int> most(kFdsPerMessage, null->get());
    ASSERT_TRUE(send(pair->first.get(), bytes("hello"), most).value());
    std::array<std::byte, 64> buffer{};
    const auto open_now = [] { return list_directory(open_directory("/proc/self/fd")->get())->size(); };
    const std::size_t before = open_now();
    {
        const Result<Received> got = receive(pair->second.get(), buffer);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->size, 5U);
        EXPECT_EQ(got->fds.size(), kFdsPerMessage);
        for (const Fd& fd : got->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
    }
    EXPECT_EQ(open_now(), before);
    ASSERT_TRUE(send(pair->first.get(), bytes(std::string(65, 'x')), most).value());
    EXPECT_EQ(receive(pair->second.get(), buffer).error().err, EMSGSIZE) << "longer than the buffer";
    EXPECT_EQ(open_now(), before) << "and nothing is left open";
    EXPECT_FALSE(send(pair->first.get(), bytes("x"), std::vector<int>(kFdsPerMessage + 1, null->get())));
    EXPECT_TRUE(receive(pair->second.get(), buffer)->nothing_now);
    pair->first.reset();
    EXPECT_TRUE(receive(pair->second.get(), buffer)->end_of_stream);
}

TEST(Sockets, NotifyMessagesCarryTheirSender) {
    const Scratch scratch;
    const Result<Fd> notify = bind_notify(scratch / "n", 0622);
    ASSERT_TRUE(notify);
    const bool with_pidfd = enable_pidfds(notify->get()).has_value();
    const Result<Fd> sender = connect_unix(scratch / "n", SOCK_DGRAM);
    ASSERT_TRUE(send(sender->get(), bytes("READY=1")).value());
    std::array<std::byte, 64> buffer{};
    const Result<Received> got = receive(notify->get(), buffer);
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->sender.known);
    EXPECT_EQ(got->sender.pid, ::getpid());
    EXPECT_EQ(got->sender_pidfd.valid(), with_pidfd);
}

TEST(Sockets, ConnectWithoutBlocking) {
    Result<Address> any = parse_address("tcp:127.0.0.1:0");
    const Result<Fd> listener = listen_on(*any);
    ASSERT_TRUE(listener);
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    ASSERT_EQ(::getsockname(listener->get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
    any->storage = bound;
    const Result<Fd> client = connect_nonblocking(*any);
    ASSERT_TRUE(client);
    Result<Epoll> epoll = Epoll::create();
    ASSERT_TRUE(epoll->add(client->get(), EPOLLOUT, 7));
    EXPECT_EQ(epoll->wait(mono_now() + seconds(5))->front().token, 7U);
    EXPECT_EQ(connect_result(client->get()), 0);
}

TEST(EpollTest, KeepsDeadlinesInBothWays) {
    for (const bool old_kernel : {false, true}) {
        Result<Epoll> epoll = Epoll::create();
        if (old_kernel) epoll->forget_pwait2();
        const Mono before = mono_now();
        EXPECT_TRUE(epoll->wait(before + milliseconds(20))->empty());
        EXPECT_GE((mono_now() - before).ns, milliseconds(20).ns) << "never early";
        EXPECT_LT((mono_now() - before).ns, seconds(5).ns);
        EXPECT_TRUE(epoll->wait(before)->empty()) << "the past: only looks";
        Result<Pipe> pipe = make_pipe();
        ASSERT_TRUE(epoll->add(pipe->read.get(), EPOLLIN, 99));
        ASSERT_TRUE(write_all(pipe->write.get(), "x", 1));
        const auto ready = epoll->wait(kNever);
        ASSERT_EQ(ready->size(), 1U);
        EXPECT_EQ((*ready)[0].token, 99U);
        EXPECT_TRUE(epoll->remove(pipe->read.get()));
        EXPECT_TRUE(epoll->wait(Mono{0})->empty());
    }
}

TEST(Processes, AreNamedByPidAndStart) {
    SpawnBench bench;
    Outcome& o = bench.run(command({"sleep", "50"}));
    const Result<ProcessStat> stat = process_stat(o.pid);
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->name, "sleep");
    EXPECT_EQ(stat->parent, ::getpid());
    EXPECT_EQ(stat->session, o.pid);
    EXPECT_FALSE(stat->never_executed);
    EXPECT_TRUE(open_checked(o.pid, stat->start_ticks));
    EXPECT_EQ(open_checked(o.pid, stat->start_ticks + 1).error().kind, ErrorKind::not_found);
    const auto has = [&](const Result<std::vector<pid_t>>& list) { return std::ranges::count(*list, o.pid) == 1; };
    EXPECT_TRUE(has(children_of(::getpid())));
    EXPECT_TRUE(has(processes_of_session(o.pid)));
    EXPECT_TRUE(has(all_processes()));
    EXPECT_EQ(uid_of(o.pid).value(), ::geteuid());
    EXPECT_FALSE(has_ended(o.pidfd.get()));
    EXPECT_TRUE(send_signal(o.pidfd.get(), SIGKILL));
    EXPECT_EQ(exit_code(o), 128 + SIGKILL);
    EXPECT_EQ(send_signal(o.pidfd.get(), SIGKILL).error().kind, ErrorKind::not_found);
    EXPECT_EQ(process_stat(o.pid).error().kind, ErrorKind::not_found);
}

TEST(Processes, OddNamesDoNotConfuse) {
    const Scratch scratch;
    const std::string program = scratch / "a) Z 1 (b";
    ASSERT_EQ(::symlink("/bin/sleep", program.c_str()), 0);
    SpawnBench bench;
    Outcome& o = bench.run(command({program, "50"}));
    ASSERT_TRUE(o.executed);
    EXPECT_EQ(process_stat(o.pid)->parent, ::getpid());
    EXPECT_EQ(process_stat(o.pid)->name, "a) Z 1 (b");
    ASSERT_TRUE(send_signal(o.pidfd.get(), SIGKILL));
    exit_code(o);
}

TEST(Clock, KnowsTheBoot) {
    EXPECT_EQ(boot_id()->size(), 36U);
    const Mono earlier = mono_now();
    EXPECT_LE(earlier.ns, now().boot.ns);
    EXPECT_GT(now().wall.ns, 1'500'000'000'000'000'000);
    std::array<char, 32> noise{};
    ASSERT_TRUE(random_bytes(noise.data(), noise.size()));
    EXPECT_NE(noise, (std::array<char, 32>{}));
}

}  // namespace
}  // namespace abide::kernel
