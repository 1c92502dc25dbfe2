// What the units of the CUDA core offer each other: launches on a stream, errors as exceptions, facts of the device.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "problem.hpp"

namespace lpcm::cuda {

inline void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // the runtime keeps the error until it is read
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

struct Device {
  int multiprocessors = 0;
  int shared_bytes = 0;  // of a multiprocessor
  int major = 0, minor = 0;
};
const Device& current_device();  // of this thread; asked once a device


// tensor_*.cu
#define LPCM_PASSES(name)                     \
  void sums_##name(const SumPass&, cudaStream_t); \
  void weigh_##name(const WeighPass&, cudaStream_t)
LPCM_PASSES(bf16);
LPCM_PASSES(fp16);
LPCM_PASSES(fp32);
LPCM_PASSES(bf16_wgmma);
LPCM_PASSES(fp16_wgmma);
#undef LPCM_PASSES

}  // namespace lpcm::cuda
