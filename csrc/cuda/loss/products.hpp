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
    count_ = static_cast<std::int32_t>(tile_count(p.range, C::kColumns));
    load_index_ = begin();
    aim();
    for (int i = 0; i < p.stages - 1; ++i) load();
  }

  // The first tile of this block, and the one after `index`, of those that have anything to multiply.
  LPCM_BODY std::int32_t begin() const { return full(static_cast<std::int32_t>(m_.block())); }
  LPCM_BODY std::int32_t next(std::int32_t index) const { return full(index + static_cast<std::int32_t>(m_.blocks())); }

  LPCM_BODY std::int32_t count() const { return count_; }

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
  LPCM_BODY std::int32_t full(std::int32_t index) const {
    for (; p_.range.triangle && index < count_; index += static_cast<std::int32_t>(m_.blocks())) {
      const Tile t = tile_at(p_.range, C::kColumns, index);
      if (!is_empty(p_.range, C::kColumns, t.row, t.column)) break;
    }
    return index;
  }

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

  // The first of this thread's rows of x and of y in the tile at load_index_, within the range. Found once a tile, so that
  // a copy costs little more than its own instruction; short numbers, because they live through the elementwise part.
  LPCM_BODY void aim() {
    if (load_index_ >= count_) return;
    const Tile t = tile_at(p_.range, C::kColumns, load_index_);
    const int first = m_.thread() >> 3;
    x_row_ = static_cast<std::int32_t>(t.row - p_.range.row) + first;
    y_row_ = static_cast<std::int32_t>(t.column - p_.range.column) + (C::kGroup ? y_source(first) : first);
  }

  // Starts the copies of one stage, of nothing when the tiles have ended: the count of groups must go on.
  LPCM_BODY void load() {
    if (load_index_ < count_) {
      const int first = m_.thread() >> 3, chunk = m_.thread() & 7, width = static_cast<int>(p_.width);
      const int base = load_stage_ * C::kStageBytes;
      const int x_to = base + x_place(first, chunk);
      const int y_to = base + kTileRows * kRowBytes + (C::kGroup ? x_place(first, chunk) : y_place(first, chunk));
      const std::int64_t feature = load_block_ * kDepth + chunk * 8;
      const std::uint16_t* x = p_.x.data + plane_of_x(C::kPairs, load_pair_) * p_.x.plane + (p_.range.row + x_row_) * p_.width + feature;
      const std::uint16_t* y = p_.y.data + plane_of_y(C::kPairs, load_pair_) * p_.y.plane + (p_.range.column + y_row_) * p_.width + feature;
      const std::int32_t x_left = static_cast<std::int32_t>(p_.range.rows) - x_row_, y_left = static_cast<std::int32_t>(p_.range.columns) - y_row_;
      // rows outside are zeros, and their address is not followed
      LPCM_UNROLL
      for (int r = 0; r < kTileRows; r += kCopyRows) m_.copy16(x_place_after(x_to, r), x + r * width, r < x_left);
      LPCM_UNROLL
      for (int r = 0; r < C::kColumns; r += kCopyRows) {
        const int source = C::kGroup ? y_source_after(r) : r;
        m_.copy16(C::kGroup ? x_place_after(y_to, r) : y_place_after(y_to, r), y + source * width, source < y_left);
      }
      if (++load_block_ == blocks_) {
        load_block_ = 0;
        ++load_pair_;
      }
      if (load_pair_ == C::kPairs) {
        load_pair_ = 0;
        load_index_ = next(load_index_);
        aim();
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
  std::int32_t count_, load_index_;
  std::int32_t x_row_ = 0, y_row_ = 0;
  int load_block_ = 0, load_pair_ = 0, load_stage_ = 0, read_stage_ = 0;
};

// Which elements of a tile count: rows and columns inside the matrix, and of a row neither its positive nor what lies
// before its first column.
struct Window {
  int rows, columns;  // valid ones of the tile
  LPCM_HD bool counts(int column, int hole, int first) const { return column < columns && column != hole && column >= first; }
};

// For one row: the column of its positive in the tile, or -1.
LPCM_HD int hole_of(const Products& p, const Tile& t, std::int64_t row, int columns) {
  if (row >= p.range.row + p.range.rows) return -1;
  const std::int64_t label = label_of(p.positives, row) - t.column;
  return label >= 0 && label < columns ? static_cast<int>(label) : -1;
}

// The first column that counts; past the last one for rows outside.
LPCM_HD int first_of(const Products& p, const Tile& t, std::int64_t row, int columns) {
  if (row >= p.range.row + p.range.rows) return columns;
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
