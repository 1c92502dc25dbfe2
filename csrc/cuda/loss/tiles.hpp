// Where things are: tiles in the matrix, 16-byte pieces in shared memory, fragments in registers.
// Pure arithmetic, the same on host and device; tests hold every map against the definition of the instructions.
//
// A block is 128 threads. A thread has four values of every fragment of 16 x 8 logits of its warp, in the order of both
// instructions (PTX ISA, "Matrix Fragments for mma.m16n8k16" and "Register Fragments for wgmma.mma_async.m64nNk16"):
//   value v of fragment (i, j):  row = row of fragment i + 8 (v / 2) + lane / 4,  column = column_of(j, 2 (lane % 4) + v % 2)
// mma: 2 x 2 warps, each with 64 rows and half of the columns. wgmma: four warps, each with 16 of every 64 rows and all
// columns.
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
inline constexpr int kMaxColumns = 128; // of a tile

// How fragments lie in a tile of kColumns columns, and where pieces lie in a stage, for each instruction.
template <int kColumns>
struct MmaTiles {
  static constexpr bool kGroup = false;
  static constexpr int kFragments = 4, kPieces = kColumns / 16;  // of 16 rows and of 8 columns in a warp
  static constexpr int kRowParts = 2, kColumnParts = 2;          // warps that share a row, a column
  LPCM_HD static int row0(int warp, int fragment) { return (warp >> 1) * 64 + fragment * 16; }
  LPCM_HD static int column0(int warp) { return (warp & 1) * (kColumns / 2); }
  LPCM_HD static int row_part(int warp) { return warp & 1; }
  LPCM_HD static int column_part(int warp) { return warp >> 1; }
};
struct WgmmaTiles {
  static constexpr bool kGroup = true;
  static constexpr int kFragments = 2, kPieces = 16;
  static constexpr int kRowParts = 1, kColumnParts = 4;
  LPCM_HD static int row0(int warp, int fragment) { return fragment * 64 + warp * 16; }
  LPCM_HD static int column0(int) { return 0; }
  LPCM_HD static int row_part(int) { return 0; }
  LPCM_HD static int column_part(int warp) { return warp; }
};

// What a kernel multiplies: format, number of planes, columns of a tile, and the instruction's way of dividing it.
// Tensor cores round their running sums towards zero. `kPromoted` adds each stage's products to an accumulator of their
// own in ordinary fp32, which keeps the error of a long sum at that of fp32; it needs the registers of half a tile.
template <class F, int kPlaneCount, int kColumnCount, bool kPromote, class T = MmaTiles<kColumnCount>>
struct Config : T {
  using Format = F;
  static constexpr int kPlanes = kPlaneCount;
  static constexpr int kColumns = kColumnCount;
  static constexpr bool kPromoted = kPromote;
  static constexpr int kPairs = kPlanes == 1 ? 1 : 3;
  static constexpr int kStageBytes = (kTileRows + kColumns) * kRowBytes;
};

using ConfigBf16 = Config<Bf16, 1, 128, false>;
using ConfigFp16 = Config<Fp16, 1, 128, false>;
using ConfigFp32 = Config<Fp16, 2, 64, true>;  // fp32 as two parts of 11 bits: hi lo + lo hi + hi hi
using ConfigBf16Wgmma = Config<Bf16, 1, 128, false, WgmmaTiles>;  // Hopper alone
using ConfigFp16Wgmma = Config<Fp16, 1, 128, false, WgmmaTiles>;

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

// A thread copies the same piece of every 16th row, and where it stands follows from where the first one stands.
inline constexpr int kCopyRows = kThreads / 8;
LPCM_HD int x_place_after(int first, int rows) { return first + rows * kRowBytes; }
LPCM_HD int y_place_after(int first, int rows) { return (first ^ ((rows & 16) << 2)) + rows * kRowBytes; }

// wgmma reads a stage by itself: rows of 128 bytes in its 128-byte swizzle, which is that of x. Its columns are put in
// place when y is copied: row n of the stage is this column of the tile.
LPCM_HD int y_source(int place) { return column_of(place >> 3, place & 7); }
LPCM_HD int y_source_after(int rows) { return (rows >> 5) * 32 + ((rows >> 3) & 2) * 2; }  // of 16 rows more, and so on

// Shared-memory matrix descriptor of PTX for such rows (K-major, groups of eight rows 1024 bytes apart), from the address
// of its first row, which is a multiple of 1024, moved by 32 bytes for every 16 features.
LPCM_HD std::uint64_t wgmma_descriptor(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffU) >> 4) | std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}

template <class C>
LPCM_HD int row_in_tile(int thread, int fragment, int half) {
  return C::row0(thread >> 5, fragment) + half * 8 + ((thread & 31) >> 2);
}
template <class C>
LPCM_HD int column_in_tile(int thread, int v) {  // v: 2 j + e
  return C::column0(thread >> 5) + column_of(v >> 1, 2 * (thread & 3) + (v & 1));
}

struct Tile {
  std::int64_t row, column;  // where it starts in the matrix
  std::int64_t tile_row, tile_column;
};

template <class T>
LPCM_HD T smaller(T a, T b) { return a < b ? a : b; }
LPCM_HD std::int64_t tiles_of(std::int64_t count, std::int64_t tile) { return (count + tile - 1) / tile; }

// Tiles that run at the same time should share rows and columns in the cache: eight tile rows at a time, column by column.
// In 32 bits: a launch has fewer than 2^31 tiles, and divisions of 64 bits would be a good part of a small tile's work.
LPCM_HD Tile tile_at(const Range& r, int columns, std::int64_t index) {
  constexpr std::uint32_t kGroup = 8;
  const auto at = static_cast<std::uint32_t>(index), across = static_cast<std::uint32_t>(tiles_of(r.columns, columns));
  const auto down = static_cast<std::uint32_t>(tiles_of(r.rows, kTileRows));
  const std::uint32_t group = at / (kGroup * across), within = at - group * (kGroup * across);
  const std::uint32_t first = group * kGroup, high = smaller(kGroup, down - first);
  const std::uint32_t tile_column = within / high, tile_row = first + within - tile_column * high;
  return {r.row + static_cast<std::int64_t>(tile_row) * kTileRows, r.column + static_cast<std::int64_t>(tile_column) * columns, tile_row, tile_column};
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
