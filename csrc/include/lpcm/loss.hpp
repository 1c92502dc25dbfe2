// What the contrastive loss asks of a processor: the problem, its two operations, and nothing about how.
// Refuses reductions, smoothing and weights: those are O(n) arithmetic on what `forward` returns, done by the caller.
//
// With s_ij = scale * sim(x_i, y_j) + bias, and one positive column l_i for each row i:
//   softmax  rows[i]    = log sum_{j, j != l_i} exp(s_ij)          (negatives only)
//            columns[j] = log sum_{i, l_i != j} exp(s_ij)
//   sigmoid  rows[i]    = sum_{j, j != l_i} log(1 + exp(s_ij))     (SigLIP, arXiv 2303.15343, equation 1)
//   positives[i] = s_{i, l_i}
// The positive is kept out of the sums so that log(1 + exp(rows[i] - positives[i])), the loss of a row, keeps its
// digits when it is small; summing it in and subtracting again loses all of them once the loss is under 1e-7.
//
// Shared with CUDA, hence C++17.
#pragma once

#include <cstdint>

#include "lpcm/features.hpp"

namespace lpcm {

enum class Dtype { float32, float64, bfloat16, float16 };
enum class Objective { softmax, sigmoid };
enum class Directions { rows, both };     // `both` also normalises over the rows of every column
enum class Similarity { dot, sqeuclidean, l1, lp };  // the last three are negative distances; lp is -sum |x - y|^p
enum class Precision { bf16, fp32, fp64 };           // of products; sums and gradients never have less than fp32
enum class Tiles { hardware, emulated };  // emulated: the amx level's algorithm in plain C++, for tests where AMX is not

struct Matrix {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;     // in elements; may be zero or negative
  std::int64_t column_stride = 1;  // in elements
};

struct GradientMatrix {
  void* data = nullptr;  // rows x columns, contiguous; null when nobody asked for it
  Dtype dtype = Dtype::float32;
};

struct ContrastiveProblem {
  Matrix x;                      // (n, d)
  Matrix y;                      // (m, d); ignored when `self` is set
  bool self = false;             // y is x: the pairs (i, i) are left out, labels pair the rows up, half the work
  double scale = 1.0;
  double bias = 0.0;
  Objective objective = Objective::softmax;
  Directions directions = Directions::both;  // `rows` for the sigmoid objective and for `self`
  Similarity similarity = Similarity::dot;
  double power = 2.0;            // p of Similarity::lp, at least 1
  Precision precision = Precision::fp32;
  const std::int64_t* labels = nullptr;  // n columns, one a row; null: row i has column i + label_offset
  std::int64_t label_offset = 0;
  CpuLevel level = CpuLevel::generic;    // must be available here: features.hpp tells
  Tiles tiles = Tiles::hardware;         // read at level amx only
  int threads = 1;
};

struct ContrastiveStatistics {
  double* rows = nullptr;       // n
  double* columns = nullptr;    // m; null unless directions are `both`
  double* positives = nullptr;  // n
};

// d loss / d (what `forward` returned).
struct ContrastiveWeights {
  const double* rows = nullptr;       // n
  const double* columns = nullptr;    // m; null unless directions are `both`
  const double* positives = nullptr;  // n
};

struct ContrastiveGradients {
  GradientMatrix x;
  GradientMatrix y;         // stays empty for `self`: all of it is in `x`
  double* scale = nullptr;  // null when nobody asked for it
  double* bias = nullptr;
};

// Both throw std::invalid_argument when the problem makes no sense (the message names the sizes), std::bad_alloc when
// memory ends. Results are bitwise the same from run to run and for any number of threads.
void contrastive_forward(const ContrastiveProblem&, const ContrastiveStatistics&);
void contrastive_backward(const ContrastiveProblem&, const ContrastiveStatistics& saved, const ContrastiveWeights&,
                          const ContrastiveGradients&);

// How a level carries out the products of this problem, for people: "fp32 fma, avx512", "bf16 tiles, amx", ...
const char* contrastive_arithmetic(const ContrastiveProblem&);

// Operations per second of the instruction that these products are made of, on as many threads, and nothing else: the
// peak that a speed is held against. Keeps all of them busy for about `seconds`.
double contrastive_peak(const ContrastiveProblem&, double seconds);

}  // namespace lpcm
