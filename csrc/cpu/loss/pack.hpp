// Reads rows of a caller's matrix (any dtype, any strides) and lays them out as operands of the products.
// Only for units compiled for every processor.
// Refuses to keep a packed copy of a whole matrix: a chunk is packed when it is used, so memory stays O(chunk).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "bf16.hpp"
#include "kernels.hpp"
#include "lpcm/loss.hpp"

namespace lpcm::loss {

inline float widen_half(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000U) << 16;
  const std::uint32_t exponent = (h >> 10) & 0x1fU, fraction = h & 0x3ffU;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t bits = sign | ((exponent == 31 ? 255U : exponent + 112U) << 23) | (fraction << 13);
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

inline std::uint16_t to_half(float f) {
  std::uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const std::uint32_t sign = (bits >> 16) & 0x8000U, magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // rounds to 65536 or more
  if (magnitude < 0x38800000U) {  // below 2^-14: a multiple of 2^-24, rounded by the addition
    float value;
    std::memcpy(&value, &magnitude, 4);
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(value * 0x1p24F)));
  }
  const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

// One row as T, minus `centre` when there is one.
template <class T>
void read_row(const Matrix& m, std::int64_t row, const double* centre, T* out) {
  const auto read = [&](auto get) {
    const std::int64_t base = row * m.row_stride;
    if (centre == nullptr) {
      for (std::int64_t k = 0; k < m.columns; ++k) out[k] = static_cast<T>(get(base + k * m.column_stride));
    } else {
      for (std::int64_t k = 0; k < m.columns; ++k) {
        out[k] = static_cast<T>(static_cast<double>(get(base + k * m.column_stride)) - centre[k]);
      }
    }
  };
  switch (m.dtype) {
    case Dtype::float32: return read([p = static_cast<const float*>(m.data)](std::int64_t i) { return p[i]; });
    case Dtype::float64: return read([p = static_cast<const double*>(m.data)](std::int64_t i) { return p[i]; });
    case Dtype::bfloat16: return read([p = static_cast<const std::uint16_t*>(m.data)](std::int64_t i) { return widen(p[i]); });
    case Dtype::float16: return read([p = static_cast<const std::uint16_t*>(m.data)](std::int64_t i) { return widen_half(p[i]); });
  }
}

inline void write_row(const GradientMatrix& m, std::int64_t row, std::int64_t columns, const double* in) {
  const std::int64_t base = row * columns;
  for (std::int64_t k = 0; k < columns; ++k) {
    switch (m.dtype) {
      case Dtype::float32: static_cast<float*>(m.data)[base + k] = static_cast<float>(in[k]); break;
      case Dtype::float64: static_cast<double*>(m.data)[base + k] = in[k]; break;
      case Dtype::bfloat16: static_cast<std::uint16_t*>(m.data)[base + k] = to_bf16(static_cast<float>(in[k])); break;
      case Dtype::float16: static_cast<std::uint16_t*>(m.data)[base + k] = to_half(static_cast<float>(in[k])); break;
    }
  }
}

// 32 rows are packed at a time: a whole block of rows in every layout, also when a slot holds two of them.
inline constexpr std::int64_t kPackRows = 32;

// Where the four layouts of one chunk go; a null pointer is a layout that nobody reads.
template <class Slot>
struct Packed {
  Slot* rows = nullptr;            // rows layout, K along the features
  Slot* lanes = nullptr;           // lanes layout, K along the features
  Slot* features_lanes = nullptr;  // lanes are features, K along the rows
  Slot* features_rows = nullptr;   // rows layout of the transpose: its rows are features, K along the rows
  std::int64_t rows_stride = 0, rows_plane = 0;
  std::int64_t lanes_stride = 0, lanes_plane = 0;
  std::int64_t features_stride = 0, features_plane = 0;  // of whichever features layout is there
};

// Packs rows [first, first + 32) of `m` as rows [at, at + 32) of the chunk; rows past the end and features past d are zero.
// `width`: features with padding, a multiple of a whole block of slots. `scratch`: 32 * width T, and the same of uint16.
template <class T>
void pack(const Matrix& m, std::int64_t first, std::int64_t at, const double* centre, std::int64_t width, int, int,
          T* scratch, std::uint16_t*, const Packed<T>& out) {
  for (std::int64_t r = 0; r < kPackRows; ++r) {
    T* row = scratch + r * width;
    std::int64_t filled = 0;
    if (first + r < m.rows) {
      read_row(m, first + r, centre, row);
      filled = m.columns;
    }
    for (std::int64_t k = filled; k < width; ++k) row[k] = 0;
  }
  for (std::int64_t block = 0; block < width / kBlock; ++block) {
    for (std::int64_t r = 0; r < kPackRows; ++r) {
      const T* source = scratch + r * width + block * kBlock;
      if (out.rows != nullptr) {
        std::memcpy(out.rows + block * out.rows_stride + (at + r) * kBlock, source, kBlock * sizeof(T));
      }
      if (out.features_lanes != nullptr) {
        std::memcpy(out.features_lanes + block * out.features_stride + (at + r) * kBlock, source, kBlock * sizeof(T));
      }
    }
  }
  if (out.lanes == nullptr) return;
  for (std::int64_t group = 0; group < kPackRows / kBlock; ++group) {
    T* target = out.lanes + (at / kBlock + group) * out.lanes_stride;
    const T* source = scratch + group * kBlock * width;
    for (std::int64_t k = 0; k < width; ++k) {
      for (int r = 0; r < kBlock; ++r) target[k * kBlock + r] = source[r * width + k];
    }
  }
}

// The same for pairs of bf16; `planes` parts for the logits' operands, `gradient_planes` for the features layouts.
inline void pack(const Matrix& m, std::int64_t first, std::int64_t at, const double* centre, std::int64_t width, int planes,
                 int gradient_planes, float* scratch, std::uint16_t* halves, const Packed<BfPair>& out) {
  const Packed<float> nothing{};
  pack(m, first, at, centre, width, 1, 1, scratch, halves, nothing);
  const std::int64_t pairs = width / 2;
  for (int plane = 0; plane < (planes > gradient_planes ? planes : gradient_planes); ++plane) {
    for (std::int64_t i = 0; i < kPackRows * width; ++i) halves[i] = split_bf16(scratch[i]);
    if (plane < planes && out.rows != nullptr) {
      for (std::int64_t block = 0; block < pairs / kBlock; ++block) {
        for (std::int64_t r = 0; r < kPackRows; ++r) {
          std::memcpy(out.rows + plane * out.rows_plane + block * out.rows_stride + (at + r) * kBlock,
                      halves + r * width + block * 2 * kBlock, kBlock * sizeof(BfPair));
        }
      }
    }
    if (plane < planes && out.lanes != nullptr) {
      for (std::int64_t group = 0; group < kPackRows / kBlock; ++group) {
        BfPair* target = out.lanes + plane * out.lanes_plane + (at / kBlock + group) * out.lanes_stride;
        for (std::int64_t k = 0; k < pairs; ++k) {
          for (int r = 0; r < kBlock; ++r) {
            std::memcpy(target + k * kBlock + r, halves + (group * kBlock + r) * width + 2 * k, sizeof(BfPair));
          }
        }
      }
    }
    if (plane >= gradient_planes) continue;
    if (out.features_lanes != nullptr) {
      for (std::int64_t block = 0; block < width / kBlock; ++block) {
        BfPair* target = out.features_lanes + plane * out.features_plane + block * out.features_stride + at / 2 * kBlock;
        for (std::int64_t r = 0; r < kPackRows; r += 2) {
          const std::uint16_t* low = halves + r * width + block * kBlock;
          for (int f = 0; f < kBlock; ++f) target[r / 2 * kBlock + f] = {low[f], low[f + width]};
        }
      }
    }
    if (out.features_rows != nullptr) {  // 32 rows are exactly one block of 16 pairs
      BfPair* target = out.features_rows + plane * out.features_plane + at / kPackRows * out.features_stride;
      for (std::int64_t f = 0; f < width; ++f) {
        for (std::int64_t r = 0; r < kPackRows; r += 2) {
          target[f * kBlock + r / 2] = {halves[r * width + f], halves[(r + 1) * width + f]};
        }
      }
    }
  }
}

}  // namespace lpcm::loss
