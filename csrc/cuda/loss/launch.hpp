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


// tensor_bf16.cu, tensor_fp16.cu, tensor_fp32.cu
void sums_bf16(const SumPass&, cudaStream_t);
void sums_fp16(const SumPass&, cudaStream_t);
void sums_fp32(const SumPass&, cudaStream_t);
void weigh_bf16(const WeighPass&, cudaStream_t);
void weigh_fp16(const WeighPass&, cudaStream_t);
void weigh_fp32(const WeighPass&, cudaStream_t);

}  // namespace lpcm::cuda
