// bf16 products at the avx512 level, by VDPBF16PS; elementwise work stays in fp32.
#include "vector_avx512.hpp"
// written in terms of `Vector`, so after it
#include "vector_math.hpp"
#include "vector_elementwise.hpp"
#include "vector_products.hpp"
#include "vector_bf16.hpp"

namespace lpcm::loss {
namespace {

struct PairStep {
  static constexpr bool kOwn = false;
  static Reg run(Reg sum, Reg a, Reg b, Reg, Reg) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

template <ALayout kA>
void pair_product(const Product<float, BfPair>& p) {
  product_with<PairStep, kA, 8>(p);
}

constexpr Kernels<float, BfPair> table() {
  Kernels<float, BfPair> k{};
  k.arithmetic = "bf16 vdpbf16ps, avx512";
  k.planes = 1;
  k.gradient_planes = 1;
  k.features = FeatureLayout::lanes;
  k.logits = pair_product<ALayout::rows>;
  k.product_rows = pair_product<ALayout::rows>;
  k.product_columns = pair_product<ALayout::lanes>;
  k.busy = busy<PairStep, 24, 4>;
  fill_sums(k);
  fill_weighing<1>(k);
  return k;
}

constexpr Kernels<float, BfPair> kTable = table();

}  // namespace

const Kernels<float, BfPair>& avx512_bf16() { return kTable; }

}  // namespace lpcm::loss
