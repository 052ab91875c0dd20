// bench/journal.cc -- what a journal has cost its manager: every write(2) of it is made again, and timed.
//
//     journal IMAGE...        the images of one instance, in order: each but the first begins with a compaction
//
// Prints the microseconds of all writes, those of the compactions, the bytes written, and the bytes of a compacted
// image.
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <span>
#include <variant>
#include <vector>

#include "journal/compact.hpp"
#include "model/codec.hpp"

namespace {

using namespace abide;
using Clock = std::chrono::steady_clock;
using journal::RecordType;

struct Spec {
    std::uint64_t hash;
    model::ServiceSpec spec;
};
using Record = std::variant<Spec, model::Service, model::Operation, model::Instance, journal::EventLines>;
using Batch = std::vector<Record>;

template <class T>
void add(Batch& batch, std::string_view payload) {
    if (Result<T> value = model::decode<T>(payload)) batch.emplace_back(std::move(*value));
}

std::vector<Batch> batches_of(const std::string& image) {
    std::vector<Batch> batches(1);
    for (std::size_t at = 0; at + journal::kFrameBytes <= image.size();) {
        const journal::Frame frame = journal::read_frame(reinterpret_cast<const std::byte*>(image.data()) + at);
        const std::string_view payload(image.data() + at + journal::kFrameBytes, frame.length);
        at += journal::kFrameBytes + frame.length;
        Batch& batch = batches.back();
        if (frame.removed() || frame.kind() == RecordType::pid) continue;  // a pid is its child's to write
        if (frame.kind() == RecordType::service) add<model::Service>(batch, payload);
        if (frame.kind() == RecordType::operation) add<model::Operation>(batch, payload);
        if (frame.kind() == RecordType::instance) add<model::Instance>(batch, payload);
        if (frame.kind() == RecordType::events) add<journal::EventLines>(batch, payload);
        if (frame.kind() == RecordType::spec) {
            if (auto spec = model::decode<model::ServiceSpec>(payload))
                batch.emplace_back(Spec{frame.key, std::move(*spec)});
        }
        if (frame.left == 0) batches.emplace_back();
    }
    return batches;
}

struct Append {
    journal::Writer& writer;
    void operator()(const Spec& one) const { writer.append_spec(one.hash, one.spec); }
    void operator()(const model::Service& one) const { writer.append_service(one); }
    void operator()(const model::Operation& one) const { writer.append_operation(one); }
    void operator()(const model::Instance& one) const { writer.append_instance(one); }
    void operator()(const journal::EventLines& one) const { writer.append_events(one); }
};

bool write_out(int fd, std::string_view bytes) {
    return write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

long us_since(Clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
}

}  // namespace

int main(int count, char** words) {
    long writing_us = 0, compacting_us = 0;
    std::size_t bytes = 0, compacted = 0;
    for (int i = 1; i < count; ++i) {
        std::ifstream file(words[i], std::ios::binary);
        const std::string image{std::istreambuf_iterator<char>(file), {}};
        const std::vector<Batch> batches = batches_of(image);
        const int fd = memfd_create("journal", MFD_CLOEXEC);
        journal::Writer writer(Epoch{1});
        const auto begin = Clock::now();
        for (std::size_t b = i > 1 ? 1 : 0; b < batches.size(); ++b) {
            for (const Record& record : batches[b]) std::visit(Append{writer}, record);
            const std::string_view batch = writer.take();
            bytes += batch.size();
            if (!batch.empty() && !write_out(fd, batch)) return 1;
        }
        writing_us += us_since(begin);
        journal::Recovered state = journal::read(image);
        if (!state.instance) return 3;
        const auto compaction = Clock::now();
        const int other = memfd_create("journal", MFD_CLOEXEC);
        journal::Writer fresh(Epoch{1});
        const std::string_view small = journal::compact(fresh, state, "0");
        compacted = small.size();
        if (!write_out(other, small) || lseek(other, 0, SEEK_SET) != 0) return 1;
        std::string again(small.size(), 0);
        if (read(other, again.data(), again.size()) != static_cast<ssize_t>(again.size())) return 1;
        journal::Live live;
        live.instance = &*state.instance;
        live.specs = &state.specs;
        for (const model::Service& service : state.services) live.services.push_back(&service);
        for (const model::Operation& operation : state.operations) live.operations.push_back(&operation);
        live.environment = &state.environment;
        live.boot = state.boot ? &*state.boot : nullptr;
        live.descriptors = &state.descriptors;
        live.pids = &state.pids;
        live.events = &state.events;
        live.program = "0";
        if (!journal::verify(again, small, live)) return 4;
        if (i > 1) compacting_us += us_since(compaction);
    }
    std::printf("%ld %ld %zu %zu\n", writing_us, compacting_us, bytes, compacted);
}
