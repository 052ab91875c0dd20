// logger/compressor.hpp -- compresses old files (gzip), a slice at a time within the logger's loop.
//
// Invariant: a file is there under one of its two names at every instant; a slice takes a few milliseconds at most;
// memory for compression is held only while a file is being compressed.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "kernel/fd.hpp"

namespace abide::logger {

class Compressor {
  public:
    Compressor();
    ~Compressor();
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;

    // `folder`: a descriptor of the file's folder, kept until the file is done.  Beyond kQueue waiting files the
    // request is forgotten; the next rotation of that service asks again.
    void add(kernel::Fd folder, std::string file);
    [[nodiscard]] bool idle() const { return !job_ && queue_.empty(); }
    // One slice.  A failure leaves the file as it was.
    void step();

  private:
    static constexpr std::size_t kQueue = 64;
    struct Request {
        kernel::Fd folder;
        std::string file;
    };
    struct Job;
    void begin();
    void finish();
    void abandon();

    std::deque<Request> queue_;
    std::unique_ptr<Job> job_;
};

}  // namespace abide::logger
