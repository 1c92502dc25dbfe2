// The products of a tile, as one endless pipeline: while one stage is multiplied the next ones are copied, also across
// tiles, so that the copies for the next tile run under the elementwise part of this one.
//
// `M` is the machine: a real block of threads (gpu.cuh), or the one that tests emulate on a processor. All that a block
// can do together goes through it, so the order of copies, barriers and products is tested where there is no GPU.
#pragma once

#include "tiles.hpp"

namespace lpcm::cuda {

template <class C>
struct Accumulators {
  float value[C::kFragments][C::kPieces][4];
};

template <class C, class M>
class Pipeline {
 public:
  LPCM_BODY Pipeline(M& m, const Products& p) : m_(m), p_(p), blocks_(static_cast<int>(p.width / kDepth)) {
    count_ = tile_count(p.range, C::kColumns);
    load_index_ = next(m.block());
    if (load_index_ < count_) load_tile_ = tile_at(p.range, C::kColumns, load_index_);
    for (int i = 0; i < p.stages - 1; ++i) load();
  }

  // First tile from `index` on, among those of this block, that has anything to multiply.
  LPCM_BODY std::int64_t next(std::int64_t index) const {
    for (; index < count_; index += m_.blocks()) {
      const Tile t = tile_at(p_.range, C::kColumns, index);
      if (!is_empty(p_.range, C::kColumns, t.row, t.column)) break;
    }
    return index;
  }

  LPCM_BODY std::int64_t count() const { return count_; }

  // The products of the next tile; every thread of the block calls it for the same tiles.
  LPCM_BODY void multiply(Accumulators<C>& out) {
    clear(out);
    for (int step = 0; step < C::kPairs * blocks_; ++step) {
      // The stage to multiply has landed when at most the younger ones are under way. After the barrier everybody has
      // it, and nobody reads the stage before it any more, which is the one that is overwritten.
      if (p_.stages == 2) m_.template wait_copies<0>(); else m_.template wait_copies<1>();
      if constexpr (C::kGroup) m_.fence_copies();
      m_.sync();
      if constexpr (C::kGroup) {
        // asynchronous too; over before the next barrier, so the rule about stages holds for its reads as well
        const int x_base = read_stage_ * C::kStageBytes;
        m_.template start_products<typename C::Format>(out.value, x_base, x_base + kTileRows * kRowBytes);
        load();
        m_.wait_products(out.value);
      } else if constexpr (C::kPromoted) {
        load();
        Accumulators<C> part;
        clear(part);
        multiply_stage(part);
        LPCM_UNROLL
        for (int i = 0; i < C::kFragments; ++i) {
          LPCM_UNROLL
          for (int j = 0; j < C::kPieces; ++j) {
            LPCM_UNROLL
            for (int v = 0; v < 4; ++v) out.value[i][j][v] += part.value[i][j][v];
          }
        }
      } else {
        load();
        multiply_stage(out);
      }
      if (++read_stage_ == p_.stages) read_stage_ = 0;
    }
  }

 private:
  LPCM_BODY static void clear(Accumulators<C>& a) {
    LPCM_UNROLL
    for (int i = 0; i < C::kFragments; ++i) {
      LPCM_UNROLL
      for (int j = 0; j < C::kPieces; ++j) {
        LPCM_UNROLL
        for (int v = 0; v < 4; ++v) a.value[i][j][v] = 0.0F;
      }
    }
  }

  // Starts the copies of one stage, of nothing when the tiles have ended: the count of groups must go on.
  LPCM_BODY void load() {
    if (load_index_ < count_) {
      const int pair = load_step_ / blocks_, block = load_step_ - pair * blocks_;
      const int base = load_stage_ * C::kStageBytes;
      const int first = m_.thread() >> 3, chunk = m_.thread() & 7;
      const std::int64_t feature = block * kDepth + chunk * 8;
      const std::uint16_t* x = p_.x.data + plane_of_x(C::kPairs, pair) * p_.x.plane + feature;
      const std::uint16_t* y = p_.y.data + plane_of_y(C::kPairs, pair) * p_.y.plane + feature;
      const std::int64_t row_end = p_.range.row + p_.range.rows, column_end = p_.range.column + p_.range.columns;
      LPCM_UNROLL
      for (int r = 0; r < kTileRows; r += kThreads / 8) {
        const std::int64_t row = load_tile_.row + first + r;
        const bool inside = row < row_end;  // others are zeros; their address is not followed, but stays a valid one
        m_.copy16(base + x_place(first + r, chunk), x + (inside ? row : p_.range.row) * p_.width, inside);
      }
      LPCM_UNROLL
      for (int r = 0; r < C::kColumns; r += kThreads / 8) {
        const std::int64_t column = load_tile_.column + (C::kGroup ? y_source(first + r) : first + r);
        const bool inside = column < column_end;
        m_.copy16(base + kTileRows * kRowBytes + (C::kGroup ? x_place(first + r, chunk) : y_place(first + r, chunk)),
                  y + (inside ? column : p_.range.column) * p_.width, inside);
      }
      if (++load_step_ == C::kPairs * blocks_) {
        load_step_ = 0;
        load_index_ = next(load_index_ + m_.blocks());
        if (load_index_ < count_) load_tile_ = tile_at(p_.range, C::kColumns, load_index_);
      }
      if (++load_stage_ == p_.stages) load_stage_ = 0;
    }
    m_.commit_copies();
  }

  LPCM_BODY void multiply_stage(Accumulators<C>& out) {
    const int warp = m_.thread() >> 5, lane = m_.thread() & 31;
    const int x_base = read_stage_ * C::kStageBytes, y_base = x_base + kTileRows * kRowBytes;
    const int x_row = C::row0(warp, 0), y_row = C::column0(warp);
    LPCM_UNROLL
    for (int k = 0; k < kDepth / 16; ++k) {
      std::uint32_t x[C::kFragments][4], y[C::kPieces][2];
      LPCM_UNROLL
      for (int i = 0; i < C::kFragments; ++i) {
        m_.load_matrices(x[i], x_base + x_place(x_row + x_matrix_row(i, lane), 2 * k + x_matrix_chunk(lane)));
      }
      LPCM_UNROLL
      for (int j = 0; j < C::kPieces; j += 2) {
        std::uint32_t pair[4];
        m_.load_matrices(pair, y_base + y_place(y_row + y_matrix_row(j, lane), 2 * k + y_matrix_chunk(lane)));
        y[j][0] = pair[0];
        y[j][1] = pair[1];
        y[j + 1][0] = pair[2];
        y[j + 1][1] = pair[3];
      }
      LPCM_UNROLL
      for (int i = 0; i < C::kFragments; ++i) {
        LPCM_UNROLL
        for (int j = 0; j < C::kPieces; ++j) m_.template multiply<typename C::Format>(out.value[i][j], x[i], y[j]);
      }
    }
  }

  M& m_;
  const Products& p_;
  int blocks_;
  std::int64_t count_, load_index_;
  Tile load_tile_{};
  int load_step_ = 0, load_stage_ = 0, read_stage_ = 0;
};

// Which elements of a thread's share count. Positions are columns within the tile.
struct Window {
  int rows, columns;  // valid ones of the tile
  LPCM_HD bool counts(int row, int column, int hole, int first) const {
    return row < rows && column < columns && column != hole && column >= first;
  }
};

// For one row: the column of its positive in the tile, or -1.
LPCM_HD int hole_of(const Products& p, const Tile& t, std::int64_t row, int columns) {
  if (row >= p.range.row + p.range.rows) return -1;
  const std::int64_t label = label_of(p.positives, row) - t.column;
  return label >= 0 && label < columns ? static_cast<int>(label) : -1;
}

LPCM_HD int first_of(const Products& p, const Tile& t, std::int64_t row, int columns) {
  if (!p.range.triangle) return 0;
  const std::int64_t first = row + 1 - t.column;
  return first <= 0 ? 0 : static_cast<int>(smaller<std::int64_t>(first, columns));
}

// Whether any element of the tile must be left out; the same answer in every thread.
template <class M>
LPCM_BODY bool is_partial(M& m, const Products& p, const Tile& t, int columns) {
  const Range& r = p.range;
  const bool edge = t.row + kTileRows > r.row + r.rows || t.column + columns > r.column + r.columns;
  const bool diagonal = r.triangle && t.column <= t.row + kTileRows - 1;
  return m.any(edge || diagonal || hole_of(p, t, t.row + m.thread(), columns) >= 0);
}

}  // namespace lpcm::cuda
