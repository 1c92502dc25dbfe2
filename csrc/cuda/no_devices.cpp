// The answer of a build without CUDA.
#include "lpcm/devices.hpp"

namespace lpcm {

GpuReport find_gpus() { return {{}, "this build of lpcm has no CUDA code"}; }

}  // namespace lpcm
