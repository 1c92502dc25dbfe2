// The passes over tiles for fp16 products.
#include "tensor_kernels.cuh"

namespace lpcm::cuda {

void sums_fp16(const SumPass& pass, cudaStream_t stream) { launch_sums<ConfigFp16>(pass, stream); }
void weigh_fp16(const WeighPass& pass, cudaStream_t stream) { launch_weigh<ConfigFp16>(pass, stream); }

}  // namespace lpcm::cuda
