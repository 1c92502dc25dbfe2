// The avx512 level: fp32 products by FMA.
#include "vector_avx512.hpp"
// written in terms of `Vector`, so after it
#include "vector_math.hpp"
#include "vector_elementwise.hpp"
#include "vector_products.hpp"

namespace lpcm::loss {
namespace {

constexpr int kRows = 8;  // 8 x 3 sums, 3 of B: 27 of the 32 registers, 11 loads for 24 products

constexpr Kernels<float, float> table() {
  Kernels<float, float> k{};
  k.arithmetic = "fp32 fma, avx512";
  k.planes = 1;
  k.gradient_planes = 1;
  k.features = FeatureLayout::lanes;
  k.logits = logits<kRows>;
  k.product_rows = gradient<ALayout::rows, kRows>;
  k.product_columns = gradient<ALayout::lanes, kRows>;
  k.busy = busy<DotStep, 24, 2>;
  fill_sums(k);
  fill_weighing(k);
  return k;
}

constexpr Kernels<float, float> kTable = table();

}  // namespace

const Kernels<float, float>& avx512_fp32() { return kTable; }

}  // namespace lpcm::loss
