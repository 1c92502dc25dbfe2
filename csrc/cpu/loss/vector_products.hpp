// Matrix products from registers: a block of kRows x (kVectors registers) of C stays in registers over a stretch of K.
// Include after a header that defines `Vector` and after vector_math.hpp. `Step` is what one lane does with a and b.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace lpcm::loss {
namespace {

// Both kinds of slot are 32 bits wide and are moved as floats; only `Step` looks inside.
inline const float* bits(const float* p) { return p; }
inline const float* bits(const BfPair* p) { return reinterpret_cast<const float*>(p); }

struct DotStep {
  static constexpr bool kOwn = false;
  static Reg run(Reg sum, Reg a, Reg b, Reg, Reg) { return Vector::fma(a, b, sum); }
};
struct L1Step {
  static constexpr bool kOwn = false;
  static Reg run(Reg sum, Reg a, Reg b, Reg, Reg) { return Vector::sub(sum, Vector::abs(Vector::sub(a, b))); }
};
struct LpStep {
  static constexpr bool kOwn = false;
  static Reg run(Reg sum, Reg a, Reg b, Reg, Reg p) { return Vector::sub(sum, power(Vector::sub(a, b), p)); }
};
// The third power, that of the generalised normal law, in products: an eighth of the time of exp and log.
struct CubeStep {
  static constexpr bool kOwn = false;
  static Reg run(Reg sum, Reg a, Reg b, Reg, Reg) {
    const Reg t = Vector::sub(a, b);
    return Vector::nfma(Vector::mul(t, t), Vector::abs(t), sum);
  }
};
struct L1SlopeStep {
  static constexpr bool kOwn = true;
  static Reg run(Reg sum, Reg a, Reg b, Reg own, Reg) { return Vector::fma(a, sign(Vector::sub(own, b)), sum); }
};
struct LpSlopeStep {
  static constexpr bool kOwn = true;
  static Reg run(Reg sum, Reg a, Reg b, Reg own, Reg p) {
    const Reg t = Vector::sub(own, b);
    const Reg size = Vector::mul(p, power(t, Vector::sub(p, Vector::set(1.0F))));
    return Vector::fma(a, Vector::mul(size, sign(t)), sum);
  }
};

struct CubeSlopeStep {
  static constexpr bool kOwn = true;
  static Reg run(Reg sum, Reg a, Reg b, Reg own, Reg p) {
    const Reg t = Vector::sub(own, b);
    return Vector::fma(a, Vector::mul(p, Vector::mul(t, Vector::abs(t))), sum);
  }
};

enum class ALayout { rows, lanes };

inline constexpr int kPerBlock = kBlock / Vector::kLanes;  // registers a block

struct Panel {
  const float* a;
  std::int64_t a_stride;   // rows layout: distance of two blocks of K
  const float* b[4];       // one pointer a register
  const float* own;
  std::int64_t own_stride;
  std::int64_t k;
  float* c;
  std::int64_t c_stride;
  bool accumulate;
  float power;
};

template <class Step, ALayout kA, int kRows, int kVectors>
void block(const Panel& p) {
  Reg sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Vector::zero();
  }
  const Reg power = Vector::set(p.power);
  const float* b[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) b[v] = p.b[v];
  for (std::int64_t block = 0; block < p.k / kBlock; ++block) {
    const float* a = p.a + block * (kA == ALayout::rows ? p.a_stride : kBlock * kBlock);
#pragma GCC unroll 2
    for (int k = 0; k < kBlock; ++k) {
      Reg right[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) right[v] = Vector::load(b[v] + k * kBlock);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Reg left = Vector::set(kA == ALayout::rows ? a[r * kBlock + k] : a[k * kBlock + r]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          Reg own = left;
          if constexpr (Step::kOwn) {
            own = Vector::load(p.own + v / kPerBlock * p.own_stride + r * kBlock + v % kPerBlock * Vector::kLanes);
          }
          sum[r][v] = Step::run(sum[r][v], left, right[v], own, power);
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) b[v] += kBlock * kBlock;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* c = p.c + r * p.c_stride + v * Vector::kLanes;
      Vector::store(c, p.accumulate ? Vector::add(Vector::load(c), sum[r][v]) : sum[r][v]);
    }
  }
}

// K is taken in stretches that keep the panel of B near; C is read and written once a stretch.
inline constexpr std::int64_t kStretch = 256;

template <class Step, ALayout kA, int kRows, int kVectors, class Slot>
void panel(const Product<float, Slot>& p, std::int64_t vector, std::int64_t k0, std::int64_t k, bool accumulate) {
  Panel q{};
  for (int v = 0; v < kVectors; ++v) {
    q.b[v] = bits(p.b.data) + (vector + v) / kPerBlock * p.b.stride + (vector + v) % kPerBlock * Vector::kLanes + k0 * kBlock;
  }
  q.a_stride = p.a.stride;
  q.own_stride = p.own_stride;
  q.k = k;
  q.c_stride = p.c_stride;
  q.accumulate = accumulate;
  q.power = p.power;
  for (std::int64_t i = 0; i < p.m; i += kRows) {
    q.a = kA == ALayout::rows ? bits(p.a.data) + k0 / kBlock * p.a.stride + i * kBlock
                              : bits(p.a.data) + i / kBlock * p.a.stride + k0 * kBlock + i % kBlock;
    if constexpr (Step::kOwn) {
      q.own = p.own + vector / kPerBlock * p.own_stride + i * kBlock + vector % kPerBlock * Vector::kLanes;
    }
    q.c = p.c + i * p.c_stride + vector * Vector::kLanes;
    block<Step, kA, kRows, kVectors>(q);
  }
}

// Vectors of a distance's own side start inside a block unless they go block by block: three ymm would straddle two.
template <class Step, ALayout kA, int kRows, class Slot>
void product_with(const Product<float, Slot>& p) {
  constexpr int kWide = Step::kOwn ? kPerBlock : 3;
  for (std::int64_t k0 = 0; k0 < p.k; k0 += kStretch) {
    const std::int64_t k = p.k - k0 < kStretch ? p.k - k0 : kStretch;
    const bool accumulate = p.accumulate || k0 > 0;
    const std::int64_t vectors = p.blocks * kPerBlock;
    std::int64_t v = 0;
    for (; v + kWide <= vectors; v += kWide) panel<Step, kA, kRows, kWide>(p, v, k0, k, accumulate);
    if constexpr (kWide == 3) {
      if (vectors - v == 2) panel<Step, kA, kRows, 2>(p, v, k0, k, accumulate);
      if (vectors - v == 1) panel<Step, kA, kRows, 1>(p, v, k0, k, accumulate);
    }
  }
}

// As many sums as a block has, so that the latency of one step hides behind the others.
template <class Step, int kSums, int kOperations>
double busy(std::int64_t rounds) {
  Reg sum[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sum[i] = Vector::zero();
  const Reg a = Vector::set(0.5F), b = Vector::set(0.25F);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) {
      sum[i] = Step::run(sum[i], a, b, a, a);
      __asm__ volatile("" : "+x"(sum[i]));  // or the compiler would multiply once and add often
    }
  }
  return static_cast<double>(rounds) * kSums * Vector::kLanes * kOperations;
}

template <int kRows>
void logits(const Product<float, float>& p) {
  switch (p.measure) {
    case Measure::dot: return product_with<DotStep, ALayout::rows, kRows>(p);
    case Measure::l1: return product_with<L1Step, ALayout::rows, kRows>(p);
    case Measure::lp:
      if (p.power == 3) return product_with<CubeStep, ALayout::rows, kRows>(p);
      return product_with<LpStep, ALayout::rows, 2>(p);
  }
}

template <ALayout kA, int kRows>
void gradient(const Product<float, float>& p) {
  switch (p.measure) {
    case Measure::dot: return product_with<DotStep, kA, kRows>(p);
    case Measure::l1: return product_with<L1SlopeStep, kA, 4>(p);
    case Measure::lp:
      if (p.power == 3) return product_with<CubeSlopeStep, kA, 4>(p);
      return product_with<LpSlopeStep, kA, 2>(p);
  }
}

}  // namespace
}  // namespace lpcm::loss
