// The contract between the driver of the contrastive loss and one instruction set.
// A level is a table of function pointers; the driver owns memory, threads and order, the level owns arithmetic.
// This header is included by units compiled for different processors: only plain data here, no inline functions, no
// templates of the standard library (the linker would keep one copy, maybe the one that this processor cannot run).
//
// Layouts. A *slot* is what one lane multiplies at a time: one T, or a pair of bf16 (32 bits) for dot products of bf16.
// A block is 16 slots wide. `K` is counted in slots.
//   rows  layout  [K / 16][rows][16 slots]    element (row, k) at  (k / 16) * stride + row * 16 + k % 16
//   lanes layout  [rows / 16][K][16 rows]     element (row, k) at  (row / 16) * stride + k * 16 + row % 16
// `stride` is the distance of two blocks, in slots. A zmm register is one block; two ymm registers are one block.
#pragma once

#include <cstdint>

namespace lpcm::loss {

inline constexpr int kBlock = 16;

struct BfPair {  // two bf16, neighbours along K; the first in the low half
  std::uint16_t low, high;
};

enum class Weighing { window, robust, sigmoid };
enum class Measure { dot, l1, lp };  // what the product of two rows is; sqeuclidean is a dot with terms

// Which part of a tile counts. Columns outside [first[i], columns) and the column hole[i] are left out.
struct Window {
  std::int64_t rows, columns;       // valid ones
  const std::int32_t* first;        // per row; null: 0
  const std::int32_t* hole;         // per row: column of the positive in this tile, or -1
};

// t_ij = alpha * s_ij + constant + row_term[i] + column_term[j]
template <class T>
struct Logits {
  const T* s;  // row-major products
  std::int64_t stride;
  T alpha, constant;
  const T* row_term;     // null: 0
  const T* column_term;  // null: 0
  Window window;
};

template <class T, class Slot>
struct Weighed {
  // window:  w = exp(t) (a_i + b_j);   robust:  w = a_i exp(t - ra_i) + b_j exp(t - rb_j);   sigmoid:  w = a_i sigma(t)
  const T *a, *b, *ra, *rb;
  T* row_weight;      // sum_j w
  T* row_product;     // sum_j w s
  T* column_weight;   // += sum_i w; null when nobody asked
  // w, as operand of the two gradient products; columns and rows are padded with zeros up to the next whole block
  Slot* by_rows;      // rows layout, K along columns; null when nobody asked
  Slot* by_columns;   // lanes layout (lanes are columns), K along rows; null when nobody asked
  std::int64_t rows_stride, columns_stride;
  std::int64_t rows_plane, columns_plane;  // distance of the planes of a split value
};

// One operand of a product. `planes` copies, `plane` slots apart, add up to the value (bf16 high, middle, low parts).
template <class Slot>
struct Operand {
  const Slot* data;
  std::int64_t stride;
  std::int64_t plane;
};

// C (m x 16 * blocks, row-major) = or += A B; m and k are multiples of 16, buffers are padded so. `own` is the other side of a distance: phi(own - B) instead of B.
template <class T, class Slot>
struct Product {
  Operand<Slot> a, b;
  const T* own;  // distances only: rows layout like the gradient's row, [blocks][M rows][16]
  std::int64_t own_stride;
  std::int64_t m, blocks, k;
  T* c;
  std::int64_t c_stride;
  bool accumulate;
  Measure measure;
  T power;
};

enum class FeatureLayout { lanes, rows };  // how the gradient product over rows wants the features: see `by_columns`

template <class T, class Slot>
struct Kernels {
  const char* arithmetic;
  int planes;              // bf16 parts that a feature is split into for the logits: 1, 2 or 3
  int gradient_planes;     // the same for both operands of the gradient products
  FeatureLayout features;  // layout of B in `product_columns`
  // A in rows layout (K along its rows' features or columns), B in lanes layout.
  void (*logits)(const Product<T, Slot>&);
  void (*product_rows)(const Product<T, Slot>&);
  // A in lanes layout: its lanes are the rows of C.
  void (*product_columns)(const Product<T, Slot>&);

  // softmax: row_sum[i] = sum_j exp(t), column_sum[j] += ...; column_sum may be null
  void (*exp_sums)(const Logits<T>&, T* row_sum, T* column_sum);
  // the same with the row's and the column's own shift: exp(t - row_shift[i]), exp(t - column_shift[j])
  void (*exp_sums_shifted)(const Logits<T>&, const T* row_shift, const T* column_shift, T* row_sum, T* column_sum);
  void (*maxima)(const Logits<T>&, T* row_max, T* column_max);        // row_max[i] = ..., column_max[j] = max(., ...)
  void (*softplus_sums)(const Logits<T>&, T* row_sum);                // row_sum[i] = sum_j log(1 + exp(t))
  void (*weigh[3])(const Logits<T>&, const Weighed<T, Slot>&);        // by Weighing

  // The products' own instruction and nothing else, `rounds` times over: what this level could do at best.
  double (*busy)(std::int64_t rounds);  // returns the number of operations
};

const Kernels<double, double>& generic_fp64();
const Kernels<float, float>& generic_fp32();
const Kernels<float, BfPair>& generic_bf16();
#if defined(LPCM_X86_LEVELS)
const Kernels<float, float>& avx2_fp32();
const Kernels<float, float>& avx512_fp32();
const Kernels<float, BfPair>& avx512_bf16();
const Kernels<float, BfPair>& amx_bf16();
const Kernels<float, BfPair>& amx_fp32();
#endif
// The tile algorithm of the amx level with tiles in plain C++: the same driver code on any processor, for tests.
const Kernels<float, BfPair>& emulated_amx_bf16();
const Kernels<float, BfPair>& emulated_amx_fp32();

}  // namespace lpcm::loss
