// Lists the GPUs that the CUDA runtime shows.
#include "lpcm/devices.hpp"

#include <cuda_runtime.h>

namespace lpcm {

GpuReport find_gpus() {
  GpuReport report;
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  for (int index = 0; status == cudaSuccess && index < count; ++index) {
    cudaDeviceProp p{};
    status = cudaGetDeviceProperties(&p, index);
    if (status != cudaSuccess) break;
    report.gpus.push_back({index, p.name, p.major, p.minor, p.totalGlobalMem, p.multiProcessorCount});
  }
  if (status != cudaSuccess) {
    (void)cudaGetLastError();  // the runtime keeps the error until it is read
    report.gpus.clear();
    report.why_none = cudaGetErrorString(status);
  } else if (count == 0) {
    report.why_none = "the CUDA runtime shows no device";
  }
  return report;
}

}  // namespace lpcm
