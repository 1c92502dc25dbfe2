// Which GPUs this process can use, asked of the CUDA runtime.
// A machine without a GPU or driver is an ordinary answer here, never an error.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lpcm {

struct Gpu {
  int index = 0;
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  std::size_t memory_bytes = 0;
  int multiprocessors = 0;
};

struct GpuReport {
  std::vector<Gpu> gpus;
  std::string why_none;  // empty when `gpus` is not
};

GpuReport find_gpus();

}  // namespace lpcm
