// The second pass: logits formed again, turned into the gradient's weights w_ij = d loss / d s_ij, rounded to 16 bits and
// stored for two ordinary matrix products; with the sums that the scale, the bias and squared distances need.
#pragma once

#include "sums.hpp"

namespace lpcm::cuda {

// Writes zeros where a tile has nothing: the matrix products read them.
template <class C, class M>
LPCM_BODY void clear_weights(M& m, const WeighPass& p, const Tile& t) {
  const Range& r = p.products.range;
  constexpr int kAcross = C::kColumns / 8;  // pieces of 16 bytes
  const std::uint32_t zero[4] = {0, 0, 0, 0};
  for (int i = m.thread(); i < kTileRows * kAcross; i += kThreads) {
    const std::int64_t at = (t.row - r.row + i / kAcross) * p.stride + t.column - r.column + i % kAcross * 8;
    for (int plane = 0; plane < C::kPlanes; ++plane) m.store16(p.weights + plane * p.plane + at, zero);
  }
}

// kWhole: no element left out, one shift, no terms and no sums but that of the products; what nearly all tiles are.
template <bool kWhole, class C, class M>
LPCM_BODY void weigh_tile(M& m, const WeighPass& p, const Tile& t, int weighing, const Accumulators<C>& acc) {
  using Format = typename C::Format;
  const Products& q = p.products;
  const float alpha = q.scalars->alpha, constant = q.scalars->constant;
  const int thread = m.thread(), warp = thread >> 5;
  const Window window{static_cast<int>(smaller<std::int64_t>(kTileRows, q.range.row + q.range.rows - t.row)),
                      static_cast<int>(smaller<std::int64_t>(C::kColumns, q.range.column + q.range.columns - t.column))};
  float rows[2 * C::kFragments], products[2 * C::kFragments];
  LPCM_UNROLL
  for (int r = 0; r < 2 * C::kFragments; ++r) rows[r] = products[r] = 0.0F;
  // Eight columns of every row at a time. What belongs to a row or a column is read again for each of these pieces:
  // registers are dearer here than the cache.
  LPCM_UNROLL
  for (int group = 0; group < C::kPieces; group += 4) {
    const int column0 = column_in_tile<C>(thread, 2 * group);
    float b[8], columns[8] = {};
    LPCM_UNROLL
    for (int e = 0; e < 8; ++e) b[e] = kWhole || column0 + e < window.columns ? p.b[t.column + column0 + e] : 0.0F;
    LPCM_UNROLL
    for (int r = 0; r < 2 * C::kFragments; ++r) {
      const int row = row_in_tile<C>(thread, r >> 1, r & 1);
      const bool inside = kWhole || row < window.rows;
      const float a = inside ? p.a[t.row + row] : 0.0F;
      int hole = -1, first = 0;
      float row_term = 0.0F, ra = 0.0F;
      if constexpr (!kWhole) {
        hole = hole_of(q, t, t.row + row, C::kColumns);
        first = first_of(q, t, t.row + row, C::kColumns);
        row_term = q.row_term != nullptr && inside ? q.row_term[t.row + row] : 0.0F;
        ra = weighing == kRobust && inside ? p.ra[t.row + row] : 0.0F;
      }
      std::uint32_t packed[C::kPlanes][4];
      LPCM_UNROLL
      for (int piece = 0; piece < 4; ++piece) {
        std::uint16_t parts[C::kPlanes][2];
        LPCM_UNROLL
        for (int e = 0; e < 2; ++e) {
          const int v = 2 * (group + piece) + e, column = column0 + 2 * piece + e;
          const float product = acc.value[r >> 1][v >> 1][2 * (r & 1) + (v & 1)], bv = b[2 * piece + e];
          float w;
          if constexpr (kWhole) {
            w = exp2_fast(fmaf(product, alpha, constant)) * (a + bv);
          } else {
            const bool across = column < window.columns;
            const float column_term = q.column_term != nullptr && across ? q.column_term[t.column + column] : 0.0F;
            const float value = fmaf(product, alpha, constant + (row_term + column_term));
            if (weighing == kWindow) {
              w = exp2_fast(value) * (a + bv);
            } else if (weighing == kRobust) {
              const float rb = across ? p.rb[t.column + column] : 0.0F;
              w = a * exp2_fast(value - ra) + bv * exp2_fast(value - rb);
            } else {
              w = a * sigmoid_base2(value);
            }
            w = window.counts(column, hole, first) ? w : 0.0F;
          }
          if (p.row_product != nullptr) products[r] += kWhole || w != 0.0F ? w * product : 0.0F;
          float rest = w;
          LPCM_UNROLL
          for (int plane = 0; plane < C::kPlanes; ++plane) parts[plane][e] = split<Format>(rest);
          if constexpr (!kWhole) {
            // what is summed is what will be multiplied: differences y_j - x_i then stay small where they should
            float multiplied = 0.0F;
            LPCM_UNROLL
            for (int plane = 0; plane < C::kPlanes; ++plane) multiplied += Format::widen(parts[plane][e]);
            rows[r] += multiplied;
            columns[2 * piece + e] += multiplied;
          }
        }
        LPCM_UNROLL
        for (int plane = 0; plane < C::kPlanes; ++plane) {
          packed[plane][piece] = parts[plane][0] | static_cast<std::uint32_t>(parts[plane][1]) << 16;
        }
      }
      if (p.weights != nullptr) {
        const std::int64_t at = (t.row - q.range.row + row) * p.stride + t.column - q.range.column + column0;
        LPCM_UNROLL
        for (int plane = 0; plane < C::kPlanes; ++plane) m.store16(p.weights + plane * p.plane + at, packed[plane]);
      }
    }
    if (!kWhole && p.column_weight != nullptr) fold_columns<Add, C>(m, columns, 2 * group, m.scratch().columns[C::column_part(warp)]);
  }
  if (!kWhole && p.row_weight != nullptr) fold_rows<Add, C>(m, rows, m.scratch().rows[0][C::row_part(warp)]);
  if (p.row_product != nullptr) fold_rows<Add, C>(m, products, m.scratch().rows[1][C::row_part(warp)]);
}

template <class C, class M>
LPCM_BODY void weigh_pass(M& m, const WeighPass& p) {
  const Products& q = p.products;
  const int weighing = q.scalars->weighing;
  const bool sums = p.row_weight != nullptr || p.column_weight != nullptr;
  {
    Pipeline<C, M> pipeline(m, q);
    Accumulators<C> acc;
    for (std::int32_t index = pipeline.begin(); index < pipeline.count(); index = pipeline.next(index)) {
      const Tile t = tile_at(q.range, C::kColumns, index);
      pipeline.multiply(acc);
      if (is_partial(m, q, t, C::kColumns) || q.row_term != nullptr || weighing != kWindow || sums) {
        weigh_tile<false, C>(m, p, t, weighing, acc);
      } else {
        weigh_tile<true, C>(m, p, t, weighing, acc);
      }
      m.sync();
      store_partials<C>(m, q.range, t, 0, false, p.row_weight, p.column_weight);
      store_partials<C>(m, q.range, t, 1, false, p.row_product, nullptr);
    }
  }
  if (p.weights == nullptr || !q.range.triangle) return;
  for (std::int64_t index = m.block(); index < tile_count(q.range, C::kColumns); index += m.blocks()) {
    const Tile t = tile_at(q.range, C::kColumns, index);
    if (is_empty(q.range, C::kColumns, t.row, t.column)) clear_weights<C>(m, p, t);
  }
}

}  // namespace lpcm::cuda
