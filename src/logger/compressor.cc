// logger/compressor.cc -- see compressor.hpp.
#include "logger/compressor.hpp"

#include <zlib.h>

#include <array>
#include <utility>

#include "kernel/files.hpp"
#include "kernel/log_files.hpp"

namespace abide::logger {
namespace {

constexpr std::size_t kSliceBytes = 32u << 10;
constexpr int kGzipFormat = 16;  // added to windowBits: a gzip header instead of zlib's

}  // namespace

struct Compressor::Job {
    Request request;
    std::string temporary, target;
    kernel::Fd in, out;
    std::int64_t modified_ns = 0;
    std::uint64_t offset = 0;
    z_stream stream{};
    bool stream_open = false;

    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    ~Job() {
        if (stream_open) deflateEnd(&stream);
    }
};

Compressor::Compressor() = default;
Compressor::~Compressor() = default;

void Compressor::add(kernel::Fd folder, std::string file) {
    if (job_ && job_->request.file == file) {
        const auto mine = kernel::fd_status(job_->request.folder.get()), other = kernel::fd_status(folder.get());
        if (mine && other && mine->inode == other->inode && mine->device == other->device) return;
    }
    if (queue_.size() < kQueue) queue_.push_back({std::move(folder), std::move(file)});
}

void Compressor::begin() {
    auto job = std::make_unique<Job>();
    job->request = std::move(queue_.front());
    queue_.pop_front();
    job->target = job->request.file + ".gz";
    job->temporary = job->target + ".tmp";
    const int folder = job->request.folder.get();
    Result<kernel::Fd> in = kernel::open_log_for_reading(folder, job->request.file);
    if (!in) return;
    const Result<kernel::FileStatus> status = kernel::fd_status(in->get());
    Result<kernel::Fd> out = kernel::create_log_file(folder, job->temporary);
    if (!status || !out) return;
    job->in = std::move(*in);
    job->out = std::move(*out);
    job->modified_ns = status->modified_ns;
    constexpr int kWindowBits = 15, kMemoryLevel = 8;
    job->stream_open = deflateInit2(&job->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits + kGzipFormat,
                                    kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK;
    job_ = std::move(job);
    if (!job_->stream_open) abandon();
}

void Compressor::step() {
    if (!job_ && !queue_.empty()) begin();
    if (!job_) return;
    static std::array<unsigned char, kSliceBytes> in, out;
    const Result<std::size_t> got = kernel::read_at(job_->in.get(), in.data(), in.size(), job_->offset);
    if (!got) return abandon();
    job_->offset += *got;
    z_stream& stream = job_->stream;
    stream.next_in = in.data();
    stream.avail_in = static_cast<unsigned>(*got);
    const bool last = *got < in.size();
    do {
        stream.next_out = out.data();
        stream.avail_out = static_cast<unsigned>(out.size());
        if (deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) return abandon();
        if (!kernel::write_all(job_->out.get(), out.data(), out.size() - stream.avail_out)) return abandon();
    } while (stream.avail_out == 0);
    if (last) finish();
}

void Compressor::finish() {
    const int folder = job_->request.folder.get();
    // Readers tell by the time of change whether a compressed file can hold what they look for.
    const bool kept = kernel::set_modified(job_->out.get(), job_->modified_ns) &&
                      kernel::rename_over(folder, job_->temporary, job_->target);
    if (!kept) return abandon();
    // Should this fail, both names hold the same lines; readers take one, and the next rotation compresses again.
    (void)kernel::unlink_beneath(folder, job_->request.file);
    job_.reset();
}

void Compressor::abandon() {
    (void)kernel::unlink_beneath(job_->request.folder.get(), job_->temporary);
    job_.reset();
}

}  // namespace abide::logger
