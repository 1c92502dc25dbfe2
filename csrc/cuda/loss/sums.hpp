// The first pass: sums of exp over rows and columns, from one exp for both directions.
// Its rare relatives live here too: maxima, sums with each row's and column's own shift, and the sigmoid objective's sums.
#pragma once

#include "reduce.hpp"

namespace lpcm::cuda {

template <class C, class M>
LPCM_BODY void store_partials(M& m, const Range& r, const Tile& t, int kind, bool largest, float* row_partial, float* column_partial) {
  const Scratch& s = m.scratch();
  const int at = m.thread();
  const auto combine = [&](float a, float b) { return largest ? Largest::combine(a, b) : a + b; };
  const std::int64_t row = t.row - r.row + at, column = t.column - r.column + at;
  if (row_partial != nullptr && row < r.rows) {
    float total = s.rows[kind][0][at];
    LPCM_UNROLL
    for (int part = 1; part < C::kRowParts; ++part) total = combine(total, s.rows[kind][part][at]);
    row_partial[t.tile_column * r.rows + row] = total;
  }
  if (column_partial != nullptr && at < C::kColumns && column < r.columns) {
    float total = s.columns[0][at];
    LPCM_UNROLL
    for (int part = 1; part < C::kColumnParts; ++part) total = combine(total, s.columns[part][at]);
    column_partial[t.tile_row * r.columns + column] = total;
  }
}

// No element left out, no terms: what nearly all tiles of a dot product are.
template <class C, class M>
LPCM_BODY void sum_whole_tile(M& m, const SumPass& p, const Accumulators<C>& acc) {
  const float alpha = p.products.scalars->alpha, constant = p.products.scalars->constant;
  float rows[2 * C::kFragments], columns[2 * C::kPieces];
  LPCM_UNROLL
  for (int v = 0; v < 2 * C::kPieces; ++v) columns[v] = 0.0F;
  LPCM_UNROLL
  for (int r = 0; r < 2 * C::kFragments; ++r) {
    float sum = 0.0F;
    LPCM_UNROLL
    for (int v = 0; v < 2 * C::kPieces; ++v) {
      const float e = exp2_fast(fmaf(acc.value[r >> 1][v >> 1][2 * (r & 1) + (v & 1)], alpha, constant));
      sum += e;
      columns[v] += e;
    }
    rows[r] = sum;
  }
  const int warp = m.thread() >> 5;
  fold_rows<Add, C>(m, rows, m.scratch().rows[0][C::row_part(warp)]);
  if (p.column_partial != nullptr) fold_columns<Add, C>(m, columns, 0, m.scratch().columns[C::column_part(warp)]);
}

// Any tile, any kind of sum.
template <Sum kSum, class C, class M>
LPCM_BODY void sum_tile(M& m, const SumPass& p, const Tile& t, const Accumulators<C>& acc) {
  using Op = std::conditional_t<kSum == Sum::maxima, Largest, Add>;
  const Products& q = p.products;
  const float alpha = q.scalars->alpha, constant = q.scalars->constant;
  const int thread = m.thread(), warp = thread >> 5;
  const Window window{static_cast<int>(smaller<std::int64_t>(kTileRows, q.range.row + q.range.rows - t.row)),
                      static_cast<int>(smaller<std::int64_t>(C::kColumns, q.range.column + q.range.columns - t.column))};
  float rows[2 * C::kFragments], columns[2 * C::kPieces];
  LPCM_UNROLL
  for (int v = 0; v < 2 * C::kPieces; ++v) columns[v] = Op::kStart;
  LPCM_UNROLL
  for (int r = 0; r < 2 * C::kFragments; ++r) {
    const int row = row_in_tile<C>(thread, r >> 1, r & 1);
    const bool inside = row < window.rows;
    const int hole = hole_of(q, t, t.row + row, C::kColumns), first = first_of(q, t, t.row + row, C::kColumns);
    const float row_term = q.row_term != nullptr && inside ? q.row_term[t.row + row] : 0.0F;
    const float row_shift = kSum == Sum::shifted && inside ? p.row_shift[t.row + row] : 0.0F;
    float sum = Op::kStart;
    LPCM_UNROLL
    for (int v = 0; v < 2 * C::kPieces; ++v) {
      const int column = column_in_tile<C>(thread, v);
      const bool counts = window.counts(column, hole, first), across = column < window.columns;
      // read again for every row: registers are dearer here than the cache
      const float column_term = q.column_term != nullptr && across ? q.column_term[t.column + column] : 0.0F;
      const float value = fmaf(acc.value[r >> 1][v >> 1][2 * (r & 1) + (v & 1)], alpha, constant + (row_term + column_term));
      float by_row = value, by_column = value;
      if constexpr (kSum == Sum::window) by_row = by_column = exp2_fast(value);
      if constexpr (kSum == Sum::softplus) by_row = by_column = softplus_base2(value);
      if constexpr (kSum == Sum::shifted) {
        by_row = exp2_fast(value - row_shift);
        by_column = p.column_shift != nullptr && across ? exp2_fast(value - p.column_shift[t.column + column]) : 0.0F;
      }
      sum = Op::combine(sum, counts ? by_row : Op::kStart);
      columns[v] = Op::combine(columns[v], counts ? by_column : Op::kStart);
    }
    rows[r] = sum;
  }
  fold_rows<Op, C>(m, rows, m.scratch().rows[0][C::row_part(warp)]);
  if (p.column_partial != nullptr) fold_columns<Op, C>(m, columns, 0, m.scratch().columns[C::column_part(warp)]);
}

enum class Heat { hot, cold };  // hot: Sum::window only, with the short way for whole tiles

template <class C, Heat kHeat, class M>
LPCM_BODY void sum_pass(M& m, const SumPass& p) {
  const Products& q = p.products;
  if (q.only_if != nullptr && *q.only_if == 0) return;
  Pipeline<C, M> pipeline(m, q);
  Accumulators<C> acc;
  for (std::int32_t index = pipeline.begin(); index < pipeline.count(); index = pipeline.next(index)) {
    const Tile t = tile_at(q.range, C::kColumns, index);
    pipeline.multiply(acc);
    // its barrier also keeps the sums of the tile before from being overwritten while they are read
    const bool partial = is_partial(m, q, t, C::kColumns);
    if constexpr (kHeat == Heat::hot) {
      if (partial || q.row_term != nullptr) {
        sum_tile<Sum::window, C>(m, p, t, acc);
      } else {
        sum_whole_tile<C>(m, p, acc);
      }
    } else {
      if (p.sum == Sum::maxima) sum_tile<Sum::maxima, C>(m, p, t, acc);
      if (p.sum == Sum::shifted) sum_tile<Sum::shifted, C>(m, p, t, acc);
      if (p.sum == Sum::softplus) sum_tile<Sum::softplus, C>(m, p, t, acc);
    }
    m.sync();
    store_partials<C>(m, q.range, t, 0, p.sum == Sum::maxima, p.row_partial, p.column_partial);
  }
}

}  // namespace lpcm::cuda
