// The passes over tiles for bf16 products by Hopper's group instruction; nothing of them runs elsewhere.
#include "tensor_kernels.cuh"

namespace lpcm::cuda {

void sums_bf16_wgmma(const SumPass& pass, cudaStream_t stream) { launch_hot_sums<ConfigBf16Wgmma>(pass, stream); }
void weigh_bf16_wgmma(const WeighPass& pass, cudaStream_t stream) { launch_weigh<ConfigBf16Wgmma>(pass, stream); }

}  // namespace lpcm::cuda
