// What the kernels are told: plain structs of addresses and sizes, and the numbers that only the device knows.
// Refuses to own memory. Scale and bias stay on the device, so that no call waits for it and a graph can be replayed
// with other values.
#pragma once

#include <cstdint>

#include "lpcm/loss.hpp"

namespace lpcm::cuda {

// Numbers computed on the device from the caller's scale, bias and features. Logits inside the kernels are in base 2:
// t = product * alpha + constant (+ row term + column term), exp(logit - shift) = 2^t.
struct Scalars {
  double scale, bias;
  double unscale_x, unscale_y;  // powers of two: feature = packed value * unscale
  float largest_x, largest_y;   // of |feature|, finite ones only
  float norm_x, norm_y;         // of a row as it is multiplied, about the centre
  float alpha, constant;
  double back;        // log-sum-exp = log(sum of 2^t) + back
  double threshold;   // a sum under it may have lost terms that were flushed to zero
  int underflow;      // some sum was under it: the passes with each row's own shift run as well
  int weighing;       // of the gradient, see below
  double unit;        // the gradient's weights are divided by it before they meet exp
  // what `unit` and `weighing` are chosen from: see ordered() in statistics.hpp
  std::uint64_t largest_weight, highest_rest, lowest_rest;
  int rest_not_finite;
};

// A scalar of the caller's, on the device.
struct Place {
  const void* data;  // null stands for zero
  Dtype dtype;       // float32 or float64
};

// How the weights of the gradient are formed; chosen on the device.
enum Weighing : int {
  kWindow,   // 2^t (a_i + b_j): one shift fits every row and column
  kRobust,   // a_i 2^(t - ra_i) + b_j 2^(t - rb_j)
  kSigmoid,  // a_i sigmoid(t)
};

// Packed features: row-major 16-bit values, `planes` copies of (rows, width), each the rest of what the ones before lack.
struct Operand {
  const std::uint16_t* data;
  std::int64_t plane;  // elements from one plane to the next
};

// A rectangle of the matrix of logits; `triangle` counts what lies right of the diagonal only (x is y).
struct Range {
  std::int64_t row, rows;
  std::int64_t column, columns;
  bool triangle;
};

// The positive of each row, left out of every sum.
struct Positives {
  const std::int64_t* labels;  // null: row i has column i + offset
  std::int64_t offset;
};

struct Products {
  Operand x, y;
  std::int64_t width;  // a multiple of 64
  Range range;
  Positives positives;
  const Scalars* scalars;
  const float *row_term, *column_term;  // base 2, by matrix row and column; null for dot products
  const int* only_if;                   // null, or the kernel returns at once when it points to zero
  int stages;                           // of the pipeline: 2 or 3
};

enum class Sum : int { window, maxima, shifted, softplus };

// One value a row for every tile of columns, and one value a column for every tile of rows:
// row_partial[tile column * range.rows + row], column_partial[tile row * range.columns + column], both within the range.
struct SumPass {
  Products products;
  Sum sum;
  const float *row_shift, *column_shift;  // base 2, `shifted` only; column_shift is null with column_partial
  float *row_partial, *column_partial;    // column_partial may be null
};

struct WeighPass {
  Products products;
  const float *a, *b, *ra, *rb;  // ra, rb in base 2
  std::uint16_t* weights;        // (range.rows, range.columns) rounded up to whole tiles; null when nobody reads it
  std::int64_t stride, plane;    // in elements
  float *row_weight, *row_product, *column_weight;  // partials as above; null when nobody asked
};

}  // namespace lpcm::cuda
