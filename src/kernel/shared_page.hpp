// kernel/shared_page.hpp -- a few bytes of memory that outlive the process that wrote them.
//
// Mapped from a memory file that somebody else keeps: a store is there for the next process, whatever ends this one.
#pragma once

#include <cstddef>
#include <utility>

#include "kernel/fd.hpp"

namespace abide::kernel {

class SharedPage {
  public:
    static constexpr std::size_t kBytes = 4096;

    SharedPage() = default;
    // The first kBytes of the file, which is made as long as that; what was never written is zero.
    static Result<SharedPage> map(int memfd);
    SharedPage(SharedPage&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    SharedPage& operator=(SharedPage&& other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    ~SharedPage();

    [[nodiscard]] void* data() const { return data_; }

  private:
    void* data_ = nullptr;
};

}  // namespace abide::kernel
