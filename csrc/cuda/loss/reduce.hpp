// Sums of a tile's rows and columns over the threads that share them, in an order that never changes.
#pragma once

#include <type_traits>

#include "products.hpp"

namespace lpcm::cuda {

struct Add {
  static constexpr float kStart = 0.0F;
  LPCM_HD static float combine(float a, float b) { return a + b; }
};
struct Largest {
  static constexpr float kStart = -3.402823466e38F;  // under every logit; a NaN is passed over, its exp will show it
  LPCM_HD static float combine(float a, float b) { return b > a ? b : a; }
};

// Combines `values` over the lanes that differ in the bits kHigh, kHigh / 2, ... kLow. Each step halves what a lane is
// responsible for, so N values over L lanes cost N (1 - 1/L) shuffles, not N log2 L. Afterwards a lane's values[0 ..
// N / L) are the totals of the ones that `fold_start` tells.
template <class Op, int N, int kHigh, int kLow, class M>
LPCM_BODY void fold_lanes(M& m, float (&values)[N]) {
  static_assert(N % (2 * kHigh / kLow) == 0, "every lane ends with as many values");
  int width = N;
  LPCM_UNROLL
  for (int bit = kHigh; bit >= kLow; bit >>= 1) {
    width >>= 1;
    const bool upper = (m.thread() & bit) != 0;
    LPCM_UNROLL
    for (int i = 0; i < N / 2; ++i) {
      if (i < width) {
        const float sent = upper ? values[i] : values[i + width];
        const float kept = upper ? values[i + width] : values[i];
        const float other = m.shuffle_xor(sent, bit);
        // the same order in both lanes
        values[i] = upper ? Op::combine(other, kept) : Op::combine(kept, other);
      }
    }
  }
}

template <int N, int kHigh, int kLow>
LPCM_HD int fold_start(int thread) {
  int start = 0, width = N;
  LPCM_UNROLL
  for (int bit = kHigh; bit >= kLow; bit >>= 1) {
    width >>= 1;
    if ((thread & bit) != 0) start += width;
  }
  return start;
}

// A warp's part of the rows: value [2 i + h] of every lane belongs to row_in_tile(thread, i, h). Writes the totals over
// the warp's columns to out[row of the tile].
template <class Op, class C, class M>
LPCM_BODY void fold_rows(M& m, float (&rows)[2 * C::kFragments], float* out) {
  fold_lanes<Op, 2 * C::kFragments, 2, 1>(m, rows);
  const int start = fold_start<2 * C::kFragments, 2, 1>(m.thread());
  LPCM_UNROLL
  for (int i = 0; i < 2 * C::kFragments / 4; ++i) {
    out[row_in_tile<C>(m.thread(), (start + i) >> 1, (start + i) & 1)] = rows[i];
  }
}

// Value [v] of every lane belongs to column_in_tile(thread, first + v).
template <class Op, class C, int kCount, class M>
LPCM_BODY void fold_columns(M& m, float (&columns)[kCount], int first, float* out) {
  fold_lanes<Op, kCount, 16, 4>(m, columns);
  const int start = first + fold_start<kCount, 16, 4>(m.thread());
  LPCM_UNROLL
  for (int i = 0; i < kCount / 8; ++i) out[column_in_tile<C>(m.thread(), start + i)] = columns[i];
}

// Shared memory beside the stages: for every kind of sum the parts of the warps that share a row, and a column.
inline constexpr int kRowSums = 2;
struct Scratch {
  float rows[kRowSums][2][kTileRows];
  float columns[4][kMaxColumns];
};

}  // namespace lpcm::cuda
