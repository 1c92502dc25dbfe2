// The passes over tiles for bf16 products.
#include "tensor_kernels.cuh"

namespace lpcm::cuda {

void sums_bf16(const SumPass& pass, cudaStream_t stream) { launch_sums<ConfigBf16>(pass, stream); }
void weigh_bf16(const WeighPass& pass, cudaStream_t stream) { launch_weigh<ConfigBf16>(pass, stream); }

}  // namespace lpcm::cuda
