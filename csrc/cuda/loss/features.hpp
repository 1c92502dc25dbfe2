// From the caller's features to operands of the products: largest element, packing in 16-bit planes, norms; and the
// positives, which are computed from the caller's own numbers in double and never meet 16 bits.
// A warp takes a row. Everything is O(n d).
#pragma once

#include "tiles.hpp"

namespace lpcm::cuda {

inline constexpr int kWarps = kThreads / 32;

LPCM_HD double read(const Matrix& m, std::int64_t row, std::int64_t column) {
  const std::int64_t at = row * m.row_stride + column * m.column_stride;
  switch (m.dtype) {
    case Dtype::float32: return static_cast<double>(static_cast<const float*>(m.data)[at]);
    case Dtype::float64: return static_cast<const double*>(m.data)[at];
    case Dtype::bfloat16: return static_cast<double>(Bf16::widen(static_cast<const std::uint16_t*>(m.data)[at]));
    case Dtype::float16: return static_cast<double>(Fp16::widen(static_cast<const std::uint16_t*>(m.data)[at]));
  }
  return 0.0;
}

LPCM_HD void write(const GradientMatrix& m, std::int64_t at, double value) {
  switch (m.dtype) {
    case Dtype::float32: static_cast<float*>(m.data)[at] = static_cast<float>(value); return;
    case Dtype::float64: static_cast<double*>(m.data)[at] = value; return;
    case Dtype::bfloat16: static_cast<std::uint16_t*>(m.data)[at] = Bf16::round(static_cast<float>(value)); return;
    case Dtype::float16: static_cast<std::uint16_t*>(m.data)[at] = Fp16::round(static_cast<float>(value)); return;
  }
}

LPCM_HD double read(const Place& p) {
  if (p.data == nullptr) return 0.0;
  return p.dtype == Dtype::float64 ? *static_cast<const double*>(p.data) : static_cast<double>(*static_cast<const float*>(p.data));
}

LPCM_HD bool is_finite(double v) { return v - v == 0.0; }

// The power of two that packed values of a tower are smaller by: its largest element becomes 2^13 .. 2^14.
LPCM_HD double unscale_of(bool prescaled, float largest) {
  if (!prescaled || !(largest > 0.0F)) return 1.0;
  int exponent;
  (void)frexp(static_cast<double>(largest), &exponent);
  return ldexp(1.0, exponent - 14);
}

template <class M>
LPCM_BODY double sum_over_warp(M& m, double value) {
  for (int bit = 16; bit >= 1; bit >>= 1) {
    const double other = m.shuffle_xor(value, bit);
    value = (m.thread() & bit) != 0 ? other + value : value + other;  // the same order in both lanes
  }
  return value;
}

struct Measure {
  Matrix x;
  const double* centre;  // d; null for none
  float* largest;        // of |element|, finite ones; starts at zero
};

template <class M>
LPCM_BODY void run(M& m, const Measure& p) {
  const Matrix& x = p.x;
  float best = 0.0F;
  for (std::int64_t row = m.block() * kWarps + (m.thread() >> 5); row < x.rows; row += m.blocks() * kWarps) {
    for (std::int64_t k = m.thread() & 31; k < x.columns; k += 32) {
      const auto value = static_cast<float>(fabs(read(x, row, k) - (p.centre != nullptr ? p.centre[k] : 0.0)));
      if (is_finite(static_cast<double>(value)) && value > best) best = value;
    }
  }
  for (int bit = 16; bit >= 1; bit >>= 1) {
    const float other = m.shuffle_xor(best, bit);
    best = other > best ? other : best;
  }
  if ((m.thread() & 31) == 0) m.atomic_max(p.largest, best);
}

template <class F, int kPlaneCount>
struct Pack {
  using Format = F;
  static constexpr int kPlanes = kPlaneCount;
  Matrix x;
  const double* centre;  // d; null for none
  const float* largest;  // what `measure` found
  float* norm;           // starts at zero; of the longest finite row
  double* square;        // (rows): squared norms as they are multiplied; null when nobody asks
  std::uint16_t* out;    // planes x rows x width
  std::int64_t width;
};

// Squared distances are only as small as they should be when norms are those of what is multiplied, so they are taken
// from the rounded values. Rows that are not finite do not count for `norm`: what they touch is NaN whatever the bound.
template <class Format, int kPlanes, class M>
LPCM_BODY void run(M& m, const Pack<Format, kPlanes>& p) {
  const double unscale = unscale_of(Format::kPrescaled, *p.largest), prescale = 1.0 / unscale;
  float longest = 0.0F;
  for (std::int64_t row = m.block() * kWarps + (m.thread() >> 5); row < p.x.rows; row += m.blocks() * kWarps) {
    double square = 0.0;
    for (std::int64_t k = 2 * (m.thread() & 31); k < p.width; k += 64) {
      std::uint32_t packed[kPlanes] = {};
      for (int e = 0; e < 2; ++e) {
        if (k + e >= p.x.columns) break;
        const double value = read(p.x, row, k + e) - (p.centre != nullptr ? p.centre[k + e] : 0.0);
        auto rest = static_cast<float>(value * prescale);
        double multiplied = 0.0;
        for (int plane = 0; plane < kPlanes; ++plane) {
          const std::uint16_t part = split<Format>(rest);
          multiplied += static_cast<double>(Format::widen(part));
          packed[plane] |= static_cast<std::uint32_t>(part) << (16 * e);
        }
        square += multiplied * multiplied;
      }
      for (int plane = 0; plane < kPlanes; ++plane) {
        m.store4(p.out + (plane * p.x.rows + row) * p.width + k, packed[plane]);
      }
    }
    square = sum_over_warp(m, square) * unscale * unscale;
    if (p.square != nullptr && (m.thread() & 31) == 0) p.square[row] = square;
    const auto norm = static_cast<float>(sqrt(square));
    if (is_finite(static_cast<double>(norm)) && norm > longest) longest = norm;
  }
  if ((m.thread() & 31) == 0) m.atomic_max(p.norm, longest);
}

LPCM_HD double distance_term(double difference, Similarity similarity, double power) {
  switch (similarity) {
    case Similarity::sqeuclidean: return difference * difference;
    case Similarity::l1: return fabs(difference);
    case Similarity::lp: return pow(fabs(difference), power);
    case Similarity::dot: break;
  }
  return 0.0;
}

struct PositiveLogits {
  Matrix x, y;
  Positives positives;
  Similarity similarity;
  double power;
  Place scale, bias;
  bool bare;    // the similarity alone
  double* out;  // n
};

// A label outside the matrix gives a NaN and is not followed.
template <class M>
LPCM_BODY void run(M& m, const PositiveLogits& p) {
  for (std::int64_t row = m.block() * kWarps + (m.thread() >> 5); row < p.x.rows; row += m.blocks() * kWarps) {
    const std::int64_t label = label_of(p.positives, row);
    const bool inside = label >= 0 && label < p.y.rows;
    double sum = 0.0;
    for (std::int64_t k = m.thread() & 31; inside && k < p.x.columns; k += 32) {
      const double a = read(p.x, row, k), b = read(p.y, label, k);
      sum += p.similarity == Similarity::dot ? a * b : -distance_term(a - b, p.similarity, p.power);
    }
    sum = sum_over_warp(m, sum);
    if (!inside) sum = nan("");
    if ((m.thread() & 31) == 0) p.out[row] = p.bare ? sum : read(p.scale) * sum + read(p.bias);
  }
}

}  // namespace lpcm::cuda
