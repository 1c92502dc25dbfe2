// The engine on a GPU: every operation is a launch on the caller's stream.
#include "engine.hpp"

#include <array>
#include <atomic>

#include "gpu.cuh"
#include "launch.hpp"
#include "plain.hpp"

namespace lpcm::cuda {
namespace {

template <class Operation>
__global__ void __launch_bounds__(kThreads) run_kernel(const __grid_constant__ Operation operation) {
  Gpu gpu;
  run(gpu, operation);
}

class Launcher {
 public:
  explicit Launcher(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {}

  void clear(void* memory, std::size_t bytes) { check(cudaMemsetAsync(memory, 0, bytes, stream_)); }

  template <class Operation>
  void operator()(const Operation& operation, std::int64_t threads) {
    if (threads == 0) return;
    const std::int64_t most = std::is_same_v<Operation, ScalarParts> ? kScalarBlocks : 16 * current_device().multiprocessors;
    run_kernel<<<static_cast<unsigned>(smaller(tiles_of(threads, kThreads), most)), kThreads, kScratchBytes, stream_>>>(operation);
    check(cudaGetLastError());
  }

  void sums(Arithmetic a, const SumPass& p) {
    switch (a) {
      case Arithmetic::bf16: return sums_bf16(p, stream_);
      case Arithmetic::fp16: return sums_fp16(p, stream_);
      case Arithmetic::fp32: return sums_fp32(p, stream_);
      case Arithmetic::bf16_wgmma: return sums_bf16_wgmma(p, stream_);
      case Arithmetic::fp16_wgmma: return sums_fp16_wgmma(p, stream_);
    }
  }
  void weigh(Arithmetic a, const WeighPass& p) {
    switch (a) {
      case Arithmetic::bf16: return weigh_bf16(p, stream_);
      case Arithmetic::fp16: return weigh_fp16(p, stream_);
      case Arithmetic::fp32: return weigh_fp32(p, stream_);
      case Arithmetic::bf16_wgmma: return weigh_bf16_wgmma(p, stream_);
      case Arithmetic::fp16_wgmma: return weigh_fp16_wgmma(p, stream_);
    }
  }

 private:
  cudaStream_t stream_;
};

}  // namespace

const Device& current_device() {
  constexpr int kMost = 64;
  static std::array<Device, kMost> devices;
  static std::array<std::atomic<bool>, kMost> known{};
  int index = 0;
  check(cudaGetDevice(&index));
  if (index >= kMost) throw std::runtime_error("CUDA: more than 64 devices");
  Device& d = devices[static_cast<std::size_t>(index)];
  if (!known[static_cast<std::size_t>(index)].load(std::memory_order_acquire)) {  // twice at worst, with the same answer
    check(cudaDeviceGetAttribute(&d.multiprocessors, cudaDevAttrMultiProcessorCount, index));
    check(cudaDeviceGetAttribute(&d.shared_bytes, cudaDevAttrMaxSharedMemoryPerMultiprocessor, index));
    known[static_cast<std::size_t>(index)].store(true, std::memory_order_release);
  }
  return d;
}

#define LPCM_LAUNCHER Launcher
#include "engine_calls.inc"
#undef LPCM_LAUNCHER

}  // namespace lpcm::cuda
