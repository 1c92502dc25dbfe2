// The passes over tiles for fp16 products by Hopper's group instruction; nothing of them runs elsewhere.
#include "tensor_kernels.cuh"

namespace lpcm::cuda {

void sums_fp16_wgmma(const SumPass& pass, cudaStream_t stream) { launch_hot_sums<ConfigFp16Wgmma>(pass, stream); }
void weigh_fp16_wgmma(const WeighPass& pass, cudaStream_t stream) { launch_weigh<ConfigFp16Wgmma>(pass, stream); }

}  // namespace lpcm::cuda
