// The passes over tiles for fp32 products.
#include "tensor_kernels.cuh"

namespace lpcm::cuda {

void sums_fp32(const SumPass& pass, cudaStream_t stream) { launch_sums<ConfigFp32>(pass, stream); }
void weigh_fp32(const WeighPass& pass, cudaStream_t stream) { launch_weigh<ConfigFp32>(pass, stream); }

}  // namespace lpcm::cuda
