// The generic level: the plain kernels for float64, float32 and bf16, on any processor.
#include "generic_kernels.hpp"

namespace lpcm::loss {
namespace {

template <class T>
double busy(std::int64_t rounds) {
  T sum[16] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (T& s : sum) s = s * T(0.5) + T(0.25);
  }
  volatile T kept = sum[0] + sum[15];
  (void)kept;
  return static_cast<double>(rounds) * 32;
}

template <class T, class Slot>
constexpr Kernels<T, Slot> plain(const char* arithmetic) {
  Kernels<T, Slot> k{};
  k.arithmetic = arithmetic;
  k.planes = 1;
  k.gradient_planes = 1;
  k.features = FeatureLayout::lanes;
  k.logits = product<T, Slot, Layout::rows, Purpose::logits, 1>;
  k.product_rows = product<T, Slot, Layout::rows, Purpose::gradient, 1>;
  k.product_columns = product<T, Slot, Layout::lanes, Purpose::gradient, 1>;
  k.busy = busy<T>;
  fill_elementwise<T, Slot, 1>(k);
  return k;
}

constexpr Kernels<double, double> kFp64 = plain<double, double>("fp64 plain");
constexpr Kernels<float, float> kFp32 = plain<float, float>("fp32 plain");
constexpr Kernels<float, BfPair> kBf16 = plain<float, BfPair>("bf16 plain");

}  // namespace

const Kernels<double, double>& generic_fp64() { return kFp64; }
const Kernels<float, float>& generic_fp32() { return kFp32; }
const Kernels<float, BfPair>& generic_bf16() { return kBf16; }

}  // namespace lpcm::loss
