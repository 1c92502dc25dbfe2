// Where things are: tiles in the matrix, 16-byte pieces in shared memory, fragments in registers.
// Pure arithmetic, the same on host and device; tests hold every map against the definition of the instructions.
//
// A block of 128 threads is 2 x 2 warps. A warp owns 64 rows and half of the tile's columns: 4 x J products of 16 x 8,
// each thread four values of every one (mma.m16n8k16, PTX ISA "Matrix Fragments for mma.m16n8k16"):
//   value v of fragment (i, j):  row = 16 i + 8 (v / 2) + lane / 4,  column = column_of(j, 2 (lane % 4) + v % 2)
// Which column of y stands in which place of an 8-wide fragment is ours to choose. This choice gives a thread eight
// neighbouring columns over four fragments, so that it stores 16 bytes at once and four threads fill two sectors.
#pragma once

#include "formats.hpp"
#include "problem.hpp"

namespace lpcm::cuda {

inline constexpr int kThreads = 128;
inline constexpr int kTileRows = 128;
inline constexpr int kDepth = 64;       // features of one stage of the pipeline: a row of 128 bytes
inline constexpr int kRowBytes = 128;
inline constexpr int kFragments = 4;    // of 16 rows in a warp
inline constexpr int kMaxColumns = 128; // of a tile

// What a kernel multiplies: format, number of planes, columns of a tile.
// Tensor cores round their running sums towards zero. `kPromoted` adds each stage's products to an accumulator of their
// own in ordinary fp32, which keeps the error of a long sum at that of fp32; it needs the registers of half a tile.
template <class F, int kPlaneCount, int kColumnCount, bool kPromote>
struct Config {
  using Format = F;
  static constexpr int kPlanes = kPlaneCount;
  static constexpr int kColumns = kColumnCount;
  static constexpr int kPieces = kColumns / 16;  // J: fragments of 8 columns in a warp
  static constexpr bool kPromoted = kPromote;
  static constexpr int kPairs = kPlanes == 1 ? 1 : 3;
  static constexpr int kStageBytes = (kTileRows + kColumns) * kRowBytes;
};

using ConfigBf16 = Config<Bf16, 1, 128, false>;
using ConfigFp16 = Config<Fp16, 1, 128, false>;
using ConfigFp32 = Config<Fp16, 2, 64, true>;  // fp32 as two parts of 11 bits: hi lo + lo hi + hi hi

// Which plane of x and of y a pair multiplies; the small products come first.
LPCM_HD int plane_of_x(int pairs, int pair) { return pairs == 3 && pair == 1 ? 1 : 0; }
LPCM_HD int plane_of_y(int pairs, int pair) { return pairs == 3 && pair == 0 ? 1 : 0; }

LPCM_HD int column_of(int piece, int place) { return (piece >> 2) * 32 + (place >> 1) * 8 + 2 * (piece & 3) + (place & 1); }

// Byte of 16-byte piece `chunk` (8 features) of a row of a stage. Rows are exclusive-ored apart so that the eight rows of
// every 8 x 8 matrix that ldmatrix reads lie in different banks: rows 8 r .. 8 r + 7 of x, the rows column_of(j, 0..7)
// of y.
LPCM_HD int x_place(int row, int chunk) { return row * kRowBytes + ((chunk ^ (row & 7)) << 4); }
LPCM_HD int y_place(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ ((row & 1) | (((row >> 3) & 3) << 1))) << 4);
}

// What lane `lane` tells ldmatrix.x4: its row in the warp's part of x, or of y, and its 16-byte piece of 32 (16 features).
LPCM_HD int x_matrix_row(int fragment, int lane) { return fragment * 16 + (lane & 15); }
LPCM_HD int x_matrix_chunk(int lane) { return lane >> 4; }
LPCM_HD int y_matrix_row(int piece, int lane) { return column_of(piece + (lane >> 4), lane & 7); }
LPCM_HD int y_matrix_chunk(int lane) { return (lane >> 3) & 1; }

LPCM_HD int fragment_row(int fragment, int half, int lane) { return fragment * 16 + half * 8 + (lane >> 2); }

struct Tile {
  std::int64_t row, column;  // where it starts in the matrix
  std::int64_t tile_row, tile_column;
};

template <class T>
LPCM_HD T smaller(T a, T b) { return a < b ? a : b; }
LPCM_HD std::int64_t tiles_of(std::int64_t count, std::int64_t tile) { return (count + tile - 1) / tile; }

// Tiles that run at the same time should share rows and columns in the cache: eight tile rows at a time, column by column.
LPCM_HD Tile tile_at(const Range& r, int columns, std::int64_t index) {
  constexpr std::int64_t kGroup = 8;
  const std::int64_t across = tiles_of(r.columns, columns), down = tiles_of(r.rows, kTileRows);
  const std::int64_t first = index / (kGroup * across) * kGroup, high = smaller(kGroup, down - first);
  const std::int64_t within = index % (kGroup * across);
  const std::int64_t tile_row = first + within % high, tile_column = within / high;
  return {r.row + tile_row * kTileRows, r.column + tile_column * columns, tile_row, tile_column};
}

LPCM_HD std::int64_t tile_count(const Range& r, int columns) {
  return tiles_of(r.columns, columns) * tiles_of(r.rows, kTileRows);
}

// No element of the tile counts: it has no column right of its first row.
LPCM_HD bool is_empty(const Range& r, int columns, std::int64_t row, std::int64_t column) {
  return r.triangle && smaller(column + columns, r.column + r.columns) - 1 <= row;
}

LPCM_HD std::int64_t label_of(const Positives& p, std::int64_t row) {
  return p.labels != nullptr ? p.labels[row] : row + p.offset;
}

}  // namespace lpcm::cuda
