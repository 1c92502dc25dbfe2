// The CUDA loss as Python sees it: sizes of workspaces, and calls that only put work into a stream's queue.
// Refuses to allocate, to wait, and to multiply weights with features: the caller owns every buffer (torch's caching
// allocator) and the two products of the second pass (cuBLAS).
//
// Implemented twice from one source, engine.hpp: on a GPU, and by the emulated machine on a processor.
#pragma once

#include <cstddef>

#include "problem.hpp"

namespace lpcm::cuda {

// fp32: three products of two fp16 parts each. The last two are bf16 and fp16 by Hopper's own instruction.
enum class Arithmetic { bf16, fp16, fp32, bf16_wgmma, fp16_wgmma };

// Device addresses throughout.
struct Call {
  Matrix x, y;  // y is x for `self`
  bool self = false;
  Place scale{nullptr, Dtype::float32}, bias{nullptr, Dtype::float32};
  Positives positives{nullptr, 0};
  Objective objective = Objective::softmax;
  Directions directions = Directions::both;
  Similarity similarity = Similarity::dot;  // dot or sqeuclidean
  Arithmetic arithmetic = Arithmetic::bf16;
  const double* centre = nullptr;           // d: subtracted from both sides; sqeuclidean only
  std::uint16_t *packed_x = nullptr, *packed_y = nullptr;  // planes x rows x width; the same for `self`
  void* stream = nullptr;
};

struct Layout {
  int planes;
  bool bf16;           // or fp16
  std::int64_t width;  // of packed rows
  int tile_rows, tile_columns;
};
Layout layout_of(const Call&);

std::size_t forward_bytes(const Call&, std::int64_t band_rows);
void forward(const Call&, std::int64_t band_rows, void* workspace, const ContrastiveStatistics& out);

// The gradient: `begin` once, then for every chunk `weigh`, the caller's products, and at the end the `finish` calls.
struct Wanted {
  bool x, y, scale, bias;
};
struct Chunk {
  std::int64_t rows, columns;  // of the largest chunk, whole tiles
};
std::size_t gradient_bytes(const Call&, const Chunk&, const Wanted&);
void begin_gradient(const Call&, const Chunk&, const Wanted&, void* workspace, const ContrastiveStatistics& saved, const ContrastiveWeights&);
// Weights of rows [row, row + rows) and columns alike, into `weights`: planes x (chunk.rows, chunk.columns); or null.
void weigh(const Call&, const Chunk&, const Wanted&, void* workspace, const Range&, std::uint16_t* weights);
struct Inverse {
  const std::int64_t *start, *order;  // rows with positive column j: order[start[j] .. start[j + 1]]; null for an offset
};
// `sums`: (rows, width) floats, the products for rows [first, first + rows) of x, or of y.
void finish_rows(const Call&, const Chunk&, const Wanted&, void* workspace, bool is_x, std::int64_t first, std::int64_t rows,
                 const float* sums, const double* positive_weights, const Inverse&, const GradientMatrix& out);
void finish_scalars(const Call&, const Chunk&, const Wanted&, void* workspace, const double* positive_weights, double* scale, double* bias);

// The plain path's kernels, see plain.hpp.
struct PlainSums;
struct PlainWeigh;
struct Distances;
struct DistanceGradient;
void plain_sums(const PlainSums&, void* stream);
void plain_weigh(const PlainWeigh&, void* stream);
void distances(const Distances&, void* stream);
void distance_gradient(const DistanceGradient&, void* stream);

}  // namespace lpcm::cuda
