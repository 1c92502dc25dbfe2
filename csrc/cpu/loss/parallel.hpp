// Threads of the loss: OpenMP, so that torch's own pool is used (its libgomp carries the standard name).
// Refuses any order-dependent sum: tasks write to places of their own, and the caller folds those in a fixed order.
#pragma once

#include <cstdint>
#include <omp.h>

namespace lpcm::loss {
namespace {

// task(index, worker): worker < threads names a scratch area. Tasks must not throw.
template <class Task>
void parallel_for(int threads, std::int64_t count, Task&& task) {
  if (threads <= 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) task(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) task(i, omp_get_thread_num());
}

// Element-wise work in slices, so that a task is worth its dispatch.
template <class Body>
void parallel_ranges(int threads, std::int64_t count, std::int64_t slice, Body&& body) {
  parallel_for(threads, (count + slice - 1) / slice, [&](std::int64_t s, int worker) {
    const std::int64_t end = (s + 1) * slice < count ? (s + 1) * slice : count;
    for (std::int64_t i = s * slice; i < end; ++i) body(i, worker);
  });
}

}  // namespace
}  // namespace lpcm::loss
