// kernel/shared_page.cc -- see the header.
#include "kernel/shared_page.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace abide::kernel {

Result<SharedPage> SharedPage::map(int memfd) {
    if (::ftruncate(memfd, kBytes) != 0) return fail_errno(errno, "can't size a shared page");
    void* data = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (data == MAP_FAILED) return fail_errno(errno, "can't map a shared page");
    SharedPage page;
    page.data_ = data;
    return page;
}

SharedPage::~SharedPage() {
    if (data_ != nullptr) ::munmap(data_, kBytes);
}

}  // namespace abide::kernel
