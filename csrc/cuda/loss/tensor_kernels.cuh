// The two passes over tiles of products, as kernels of one configuration. Each of the units tensor_*.cu makes one.
#pragma once

#include "gpu.cuh"
#include "launch.hpp"
#include "weigh.hpp"

namespace lpcm::cuda {

// Two blocks on a multiprocessor: while one takes exponentials the other multiplies.
template <class C>
__global__ void __launch_bounds__(kThreads, 2) hot_sums(const __grid_constant__ SumPass pass) {
  Gpu gpu;
  sum_pass<C, Heat::hot>(gpu, pass);
}
template <class C>
__global__ void __launch_bounds__(kThreads, 2) cold_sums(const __grid_constant__ SumPass pass) {
  Gpu gpu;
  sum_pass<C, Heat::cold>(gpu, pass);
}
template <class C>
__global__ void __launch_bounds__(kThreads, 2) weigh(const __grid_constant__ WeighPass pass) {
  Gpu gpu;
  weigh_pass<C>(gpu, pass);
}

template <class C, class Pass>
void launch_pass(void (*kernel)(Pass), Pass pass, cudaStream_t stream) {
  const Device& device = current_device();
  pass.products.stages = device.shared_bytes >= 2 * (kScratchBytes + 3 * C::kStageBytes + 1024) ? 3 : 2;
  const int bytes = kScratchBytes + pass.products.stages * C::kStageBytes;
  const void* const function = reinterpret_cast<const void*>(kernel);
  check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  check(cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  const std::int64_t tiles = tile_count(pass.products.range, C::kColumns);
  if (tiles > INT32_MAX / 2) throw std::logic_error("too many tiles for one launch");  // callers go band by band
  const std::int64_t blocks = smaller(tiles, 2 * static_cast<std::int64_t>(device.multiprocessors));
  kernel<<<static_cast<unsigned>(blocks), kThreads, static_cast<std::size_t>(bytes), stream>>>(pass);
  check(cudaGetLastError());
}

template <class C>
void launch_sums(const SumPass& pass, cudaStream_t stream) {
  launch_pass<C>(pass.sum == Sum::window ? hot_sums<C> : cold_sums<C>, pass, stream);
}
template <class C>
void launch_hot_sums(const SumPass& pass, cudaStream_t stream) {
  if (pass.sum != Sum::window) throw std::logic_error("the group instruction has the window's sums alone");
  launch_pass<C>(hot_sums<C>, pass, stream);
}
template <class C>
void launch_weigh(const WeighPass& pass, cudaStream_t stream) {
  launch_pass<C>(weigh<C>, pass, stream);
}

}  // namespace lpcm::cuda
