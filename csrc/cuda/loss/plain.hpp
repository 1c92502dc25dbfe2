// The elementwise part of the plain path, over a chunk of similarities that something else has written to memory, and the
// distances that no matrix product gives (l1, lp).
// Nothing here is tuned: it is the way for what the tensor cores cannot do, and the baseline that they must beat.
#pragma once

#include "gradients.hpp"
#include "reduce.hpp"

namespace lpcm::cuda {

inline constexpr int kPlainRows = 32;  // of a tile; a thread has one column of it

struct PlainChunk {
  const float* similarities;  // (rows, columns), contiguous
  std::int64_t first, rows, columns;  // `first`: of the rows, in the matrix
  Positives positives;
  bool within;  // x is y: a row is left out of itself
  Place scale, bias;
  Objective objective;
};

LPCM_HD bool plain_counts(const PlainChunk& c, std::int64_t row, std::int64_t column) {
  return row < c.rows && column < c.columns && column != label_of(c.positives, c.first + row) && !(c.within && column == c.first + row);
}

LPCM_HD std::int64_t plain_tiles(const PlainChunk& c) { return tiles_of(c.rows, kPlainRows) * tiles_of(c.columns, kThreads); }

// Maximum (base 2) and sum of exp over a warp's 32 columns of every row, and over a tile's rows of every column:
//   rows[warp column * rows + row], columns[tile row * columns + column]
// Each with its own shift, so any data are right in one reading. Sigmoid: the sums alone, by rows.
struct PlainSums {
  PlainChunk chunk;
  float *row_max, *row_sum;
  float *column_max, *column_sum;  // null for one direction
};

template <class M>
LPCM_BODY void run(M& m, const PlainSums& p) {
  const PlainChunk& c = p.chunk;
  const bool softmax = c.objective == Objective::softmax;
  const auto alpha = static_cast<float>(read(c.scale) * kLog2E), constant = static_cast<float>(read(c.bias) * kLog2E);
  const std::int64_t across = tiles_of(c.columns, kThreads);
  float* const shared = &m.scratch().rows[0][0][0] + (m.thread() & ~31);
  for (std::int64_t tile = m.block(); tile < plain_tiles(c); tile += m.blocks()) {
    const std::int64_t row0 = tile / across * kPlainRows, column = tile % across * kThreads + m.thread();
    const std::int64_t warp_column = tile % across * kWarps + (m.thread() >> 5);
    float t[kPlainRows], values[kPlainRows];
    LPCM_UNROLL
    for (int i = 0; i < kPlainRows; ++i) {
      const bool counts = plain_counts(c, row0 + i, column);
      t[i] = counts ? fmaf(c.similarities[(row0 + i) * c.columns + column], alpha, constant) : Largest::kStart;
      values[i] = t[i];
    }
    if (softmax) {
      fold_lanes<Largest, kPlainRows, 16, 1>(m, values);
      const int mine = fold_start<kPlainRows, 16, 1>(m.thread());
      m.sync();  // the tile before has been read
      shared[mine] = values[0];
      m.sync();
      const float row_max = values[0];
      float column_max = Largest::kStart, column_sum = 0.0F;
      LPCM_UNROLL
      for (int i = 0; i < kPlainRows; ++i) {
        column_max = Largest::combine(column_max, t[i]);
        // nothing counts where the maximum is still the start: 2^0 must not be added
        values[i] = t[i] == Largest::kStart ? 0.0F : exp2_fast(t[i] - shared[i]);
      }
      LPCM_UNROLL
      for (int i = 0; i < kPlainRows; ++i) column_sum += t[i] == Largest::kStart ? 0.0F : exp2_fast(t[i] - column_max);
      fold_lanes<Add, kPlainRows, 16, 1>(m, values);
      if (row0 + mine < c.rows) {
        p.row_max[warp_column * c.rows + row0 + mine] = row_max;
        p.row_sum[warp_column * c.rows + row0 + mine] = values[0];
      }
      if (p.column_max != nullptr && column < c.columns) {
        p.column_max[row0 / kPlainRows * c.columns + column] = column_max;
        p.column_sum[row0 / kPlainRows * c.columns + column] = column_sum;
      }
    } else {
      LPCM_UNROLL
      for (int i = 0; i < kPlainRows; ++i) values[i] = t[i] == Largest::kStart ? 0.0F : softplus_base2(t[i]);
      fold_lanes<Add, kPlainRows, 16, 1>(m, values);
      const int mine = fold_start<kPlainRows, 16, 1>(m.thread());
      if (row0 + mine < c.rows) p.row_sum[warp_column * c.rows + row0 + mine] = values[0];
    }
  }
}

enum class WeightType { float32, bfloat16, float16 };

// w_ij = g_i exp(s_ij - rows_i) + h_j exp(s_ij - columns_j), or g_i sigmoid(s_ij), times `factor`; and its sums.
struct PlainWeigh {
  PlainChunk chunk;
  const float *g, *h;               // divided by the largest; h is null for one direction
  const float *row_rest, *column_rest;  // base 2; 1e30 where there is nothing
  WeightType type;
  float factor;
  void* weights;                    // (rows, columns)
  float *row_weight, *row_product;  // as in PlainSums; null when nobody asked
};

template <class M>
LPCM_BODY void run(M& m, const PlainWeigh& p) {
  const PlainChunk& c = p.chunk;
  const bool softmax = c.objective == Objective::softmax;
  const auto alpha = static_cast<float>(read(c.scale) * kLog2E), constant = static_cast<float>(read(c.bias) * kLog2E);
  const std::int64_t across = tiles_of(c.columns, kThreads);
  for (std::int64_t tile = m.block(); tile < plain_tiles(c); tile += m.blocks()) {
    const std::int64_t row0 = tile / across * kPlainRows, column = tile % across * kThreads + m.thread();
    const std::int64_t warp_column = tile % across * kWarps + (m.thread() >> 5);
    float weights[kPlainRows], products[kPlainRows];
    LPCM_UNROLL
    for (int i = 0; i < kPlainRows; ++i) {
      const std::int64_t row = row0 + i;
      weights[i] = products[i] = 0.0F;
      if (row >= c.rows || column >= c.columns) continue;
      const float s = c.similarities[row * c.columns + column], t = fmaf(s, alpha, constant);
      if (plain_counts(c, row, column)) {
        const float g = p.g[c.first + row];
        if (softmax) {
          weights[i] = g * exp2_fast(t - p.row_rest[c.first + row]);
          if (p.h != nullptr) weights[i] += p.h[column] * exp2_fast(t - p.column_rest[column]);
        } else {
          weights[i] = g * sigmoid_base2(t);
        }
        products[i] = weights[i] != 0.0F ? weights[i] * s : 0.0F;
      }
      const float out = weights[i] * p.factor;
      const std::int64_t at = row * c.columns + column;
      if (p.weights != nullptr) {
        if (p.type == WeightType::float32) static_cast<float*>(p.weights)[at] = out;
        if (p.type == WeightType::bfloat16) static_cast<std::uint16_t*>(p.weights)[at] = Bf16::round(out);
        if (p.type == WeightType::float16) static_cast<std::uint16_t*>(p.weights)[at] = Fp16::round(out);
      }
    }
    const int mine = fold_start<kPlainRows, 16, 1>(m.thread());
    if (p.row_weight != nullptr) {
      fold_lanes<Add, kPlainRows, 16, 1>(m, weights);
      if (row0 + mine < c.rows) p.row_weight[warp_column * c.rows + row0 + mine] = weights[0];
    }
    if (p.row_product != nullptr) {
      fold_lanes<Add, kPlainRows, 16, 1>(m, products);
      if (row0 + mine < c.rows) p.row_product[warp_column * c.rows + row0 + mine] = products[0];
    }
  }
}

LPCM_HD float power_of(float t, Similarity similarity, float power) {
  return similarity == Similarity::l1 ? fabsf(t) : powf(fabsf(t), power);
}
LPCM_HD float power_slope(float t, Similarity similarity, float power) {
  if (t == 0.0F) return 0.0F;
  const float sign = t > 0 ? 1.0F : t < 0 ? -1.0F : t;
  return similarity == Similarity::l1 ? sign : sign * power * powf(fabsf(t), power - 1.0F);
}

// out_ij = - sum over features of |x_ik - y_jk|^p, for feature-major x (d, n) and y (d, m).
struct Distances {
  const float *x, *y;
  std::int64_t n, m, d;
  Similarity similarity;
  float power;
  float* out;  // (n, m)
};

template <class M>
LPCM_BODY void run(M& m, const Distances& p) {
  const std::int64_t across = tiles_of(p.m, kThreads), tiles = tiles_of(p.n, kPlainRows) * across;
  for (std::int64_t tile = m.block(); tile < tiles; tile += m.blocks()) {
    const std::int64_t row0 = tile / across * kPlainRows, column = tile % across * kThreads + m.thread();
    if (column >= p.m) continue;
    float sums[kPlainRows];
    LPCM_UNROLL
    for (int i = 0; i < kPlainRows; ++i) sums[i] = 0.0F;
    for (std::int64_t k = 0; k < p.d; ++k) {
      const float y = p.y[k * p.m + column];
      LPCM_UNROLL
      for (int i = 0; i < kPlainRows; ++i) {
        const std::int64_t row = row0 + i < p.n ? row0 + i : p.n - 1;
        sums[i] += power_of(p.x[k * p.n + row] - y, p.similarity, p.power);
      }
    }
    LPCM_UNROLL
    for (int i = 0; i < kPlainRows; ++i) {
      if (row0 + i < p.n) p.out[(row0 + i) * p.m + column] = -sums[i];
    }
  }
}

// out_ik (+)= - sum over j of w_ij d |own_ik - other_jk|^p / d own_ik
struct DistanceGradient {
  const float* weights;
  std::int64_t row_stride, column_stride;  // of weights: either side may be `own`
  const float *own, *other;                // (n, d), (m, d)
  std::int64_t n, m, d;
  Similarity similarity;
  float power;
  bool add;
  float* out;  // (n, d)
};

template <class M>
LPCM_BODY void run(M& m, const DistanceGradient& p) {
  constexpr int kRows = 8, kPiece = 256;  // sums of a piece are added to the total: errors stay those of short sums
  int features = 8;
  while (features < kThreads && features < p.d) features *= 2;
  const int k_in = m.thread() % features, group = m.thread() / features;
  const std::int64_t rows_a_block = static_cast<std::int64_t>(kThreads / features) * kRows;
  const std::int64_t across = tiles_of(p.d, features), tiles = tiles_of(p.n, rows_a_block) * across;
  for (std::int64_t tile = m.block(); tile < tiles; tile += m.blocks()) {
    const std::int64_t k = tile % across * features + k_in, row0 = tile / across * rows_a_block + group * kRows;
    if (k >= p.d || row0 >= p.n) continue;
    float own[kRows], total[kRows];
    LPCM_UNROLL
    for (int i = 0; i < kRows; ++i) {
      own[i] = p.own[(row0 + i < p.n ? row0 + i : p.n - 1) * p.d + k];
      total[i] = 0.0F;
    }
    for (std::int64_t piece = 0; piece < p.m; piece += kPiece) {
      float sums[kRows];
      LPCM_UNROLL
      for (int i = 0; i < kRows; ++i) sums[i] = 0.0F;
      for (std::int64_t j = piece; j < smaller(piece + kPiece, p.m); ++j) {
        const float other = p.other[j * p.d + k];
        LPCM_UNROLL
        for (int i = 0; i < kRows; ++i) {
          const std::int64_t row = row0 + i < p.n ? row0 + i : p.n - 1;
          sums[i] -= p.weights[row * p.row_stride + j * p.column_stride] * power_slope(own[i] - other, p.similarity, p.power);
        }
      }
      LPCM_UNROLL
      for (int i = 0; i < kRows; ++i) total[i] += sums[i];
    }
    LPCM_UNROLL
    for (int i = 0; i < kRows; ++i) {
      if (row0 + i < p.n) p.out[(row0 + i) * p.d + k] = total[i] + (p.add ? p.out[(row0 + i) * p.d + k] : 0.0F);
    }
  }
}

}  // namespace lpcm::cuda
