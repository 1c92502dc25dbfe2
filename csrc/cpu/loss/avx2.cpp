// The avx2 level: fp32 products by FMA.
#include "vector_avx2.hpp"
// written in terms of `Vector`, so after it
#include "vector_math.hpp"
#include "vector_elementwise.hpp"
#include "vector_products.hpp"

namespace lpcm::loss {
namespace {

constexpr int kRows = 4;  // 4 x 3 sums, 3 of B, 1 of A: the 16 registers

constexpr Kernels<float, float> table() {
  Kernels<float, float> k{};
  k.arithmetic = "fp32 fma, avx2";
  k.planes = 1;
  k.gradient_planes = 1;
  k.features = FeatureLayout::lanes;
  k.logits = logits<kRows>;
  k.product_rows = gradient<ALayout::rows, kRows>;
  k.product_columns = gradient<ALayout::lanes, kRows>;
  k.busy = busy<DotStep, 12, 2>;
  fill_sums(k);
  fill_weighing(k);
  return k;
}

constexpr Kernels<float, float> kTable = table();

}  // namespace

const Kernels<float, float>& avx2_fp32() { return kTable; }

}  // namespace lpcm::loss
