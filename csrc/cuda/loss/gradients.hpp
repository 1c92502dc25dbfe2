// Around the second pass: how gradients are weighed, and how sums of weighted features become gradients.
#pragma once

#include "statistics.hpp"

namespace lpcm::cuda {

// One exp serves rows and columns when its shift can be at most kAbove under the largest log-sum-exp (no overflow) and at
// most kBelow over the smallest: what it flushes to zero is then under e^-20 of every row and column.
inline constexpr double kAbove = 60.0, kBelow = 67.0;

struct Side {
  const double* weights;  // d loss / d statistic; null when there is none
  const double* rest;     // the statistic; not read for the sigmoid objective
  std::int64_t count;
};

// Largest weight, and the spread of the log-sum-exps, into the keys of `scalars`, which start at zero.
struct Survey {
  Side side;
  bool softmax;
  Scalars* scalars;
};

template <class M>
LPCM_BODY void run(M& m, const Survey& p) {
  const Side& side = p.side;
  Scalars* const s = p.scalars;
  std::uint64_t largest = 0, high = 0, low = 0;
  bool finite = true;
  if (side.weights == nullptr) return;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < side.count; i += m.blocks() * kThreads) {
    const double g = fabs(side.weights[i]);
    if (is_finite(g) && ordered(g) > largest) largest = ordered(g);
    if (!p.softmax) continue;
    const double rest = side.rest[i];
    if (rest < -1.7e308) continue;  // minus infinity: no terms
    finite = finite && is_finite(rest);
    if (ordered(rest) > high) high = ordered(rest);
    if (ordered(-rest) > low) low = ordered(-rest);
  }
  if (largest != 0) m.atomic_max(&s->largest_weight, largest);
  if (high != 0) m.atomic_max(&s->highest_rest, high);
  if (low != 0) m.atomic_max(&s->lowest_rest, low);
  if (!finite) m.atomic_or(&s->rest_not_finite, 1);
}

// One thread, after `derive`.
LPCM_HD void choose_weighing(Scalars& s, const Shape& shape) {
  s.unit = s.largest_weight != 0 ? unordered(s.largest_weight) : 0.0;
  if (!(s.unit > 0)) s.unit = 1.0;
  if (shape.objective == Objective::sigmoid) return;
  double shift = 0.0;
  s.weighing = kRobust;
  if (s.highest_rest == 0) {  // no terms at all
    s.weighing = kWindow;
    shift = s.bias;
  } else if (s.rest_not_finite == 0) {
    const double least = unordered(s.highest_rest) - kAbove, most = -unordered(s.lowest_rest) + kBelow;
    if (least <= most) {
      s.weighing = kWindow;
      shift = window_shift(s, shape);  // that of the forward pass: logits are rounded in the same way
      shift = shift < least ? least : shift > most ? most : shift;
    }
  }
  set_shift(s, shift);
}

// One thread makes the choices.
struct Derive {
  Scalars* scalars;
  Shape shape;
  Place scale, bias;
  bool gradient;
};

template <class M>
LPCM_BODY void run(M& m, const Derive& p) {
  if (m.block() != 0 || m.thread() != 0) return;
  derive(*p.scalars, p.shape, p.scale, p.bias);
  if (p.gradient) choose_weighing(*p.scalars, p.shape);
}

struct Coefficients {
  Side side;
  const Scalars* scalars;
  float weight_scale;  // the format's
  float *factor, *own;
};

template <class M>
LPCM_BODY void run(M& m, const Coefficients& c) {
  const int weighing = c.scalars->weighing;
  const double unit = c.scalars->unit, back = c.scalars->back;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < c.side.count; i += m.blocks() * kThreads) {
    double value = 0.0, own = 1e30;  // where there is no weight the exp must vanish too: zero times infinity is a NaN
    if (c.side.weights != nullptr) {
      value = c.side.weights[i] / unit * static_cast<double>(c.weight_scale);
      if (weighing != kSigmoid) {
        const double rest = c.side.rest[i];
        const bool none = rest < -1.7e308;
        if (none) value = 0.0;
        if (!none && weighing == kRobust) own = (rest - back) * kLog2E;
        if (!none && weighing == kWindow) value *= exp(back - rest);
      }
    }
    c.factor[i] = static_cast<float>(value);
    c.own[i] = static_cast<float>(own);
  }
}

LPCM_HD double slope(double t, Similarity similarity, double power) {  // d |t|^p / dt, zero at t = 0 as torch has it
  if (t == 0.0) return 0.0;
  const double sign = t > 0 ? 1.0 : t < 0 ? -1.0 : t;
  return similarity == Similarity::l1 ? sign : sign * power * pow(fabs(t), power - 1);
}

// gradient of s(own, other) with respect to `own`, one feature, without the scale
LPCM_HD double similarity_slope(double own, double other, Similarity similarity, double power) {
  switch (similarity) {
    case Similarity::dot: return other;
    case Similarity::sqeuclidean: return 2 * (other - own);
    case Similarity::l1:
    case Similarity::lp: return -slope(own - other, similarity, power);
  }
  return 0.0;
}

struct FinishRows {
  GradientMatrix out;      // all rows of this side
  Matrix own, other;       // the caller's
  std::int64_t first, rows;
  const float* sums;       // (rows, width): weights times the other side's packed features, or times slopes
  std::int64_t width;
  const std::uint16_t* packed;  // own packed features, planes x own.rows x width; sqeuclidean only
  int planes;
  bool bf16;
  const double *weight, *more;  // sum of w over each row of this side; sqeuclidean only, `more` for self
  const Scalars* scalars;
  Similarity similarity;
  double power;
  float weight_scale;
  bool is_x, self;
  Positives positives;
  const double* positive_weights;       // n
  const std::int64_t *start, *order;    // rows with positive column j: order[start[j] ..]; null for an offset
};

template <class M>
LPCM_BODY void run(M& m, const FinishRows& p) {
  const Scalars& s = *p.scalars;
  const double unit = s.unit / static_cast<double>(p.weight_scale);
  const double unscale_own = p.is_x ? s.unscale_x : s.unscale_y, unscale_other = p.is_x ? s.unscale_y : s.unscale_x;
  const std::int64_t n = p.is_x ? p.own.rows : p.other.rows, columns = p.is_x ? p.other.rows : p.own.rows;
  for (std::int64_t r = m.block() * kWarps + (m.thread() >> 5); r < p.rows; r += m.blocks() * kWarps) {
    const std::int64_t i = p.first + r;
    std::int64_t from = 0, to = 0;  // rows of x whose positive is this column
    if (!p.is_x || p.self) {
      if (p.order != nullptr) {
        from = p.start[i];
        to = p.start[i + 1];
      } else {
        from = i - p.positives.offset;
        to = from >= 0 && from < n ? from + 1 : from;
      }
    }
    const std::int64_t label = p.is_x ? label_of(p.positives, i) : -1;
    const double sum_of_weights = p.weight == nullptr ? 0.0 : p.weight[i] + (p.more != nullptr ? p.more[i] : 0.0);
    for (std::int64_t k = m.thread() & 31; k < p.own.columns; k += 32) {
      const auto sum = static_cast<double>(p.sums[r * p.width + k]);
      double gradient;
      if (p.similarity == Similarity::dot) {
        gradient = unit * s.scale * unscale_other * sum;
      } else if (p.similarity == Similarity::sqeuclidean) {
        double mine = 0.0;
        for (int plane = 0; plane < p.planes; ++plane) {
          const std::uint16_t part = p.packed[(plane * p.own.rows + i) * p.width + k];
          mine += static_cast<double>(p.bf16 ? Bf16::widen(part) : Fp16::widen(part));
        }
        gradient = 2 * unit * s.scale * (unscale_other * sum - sum_of_weights * unscale_own * mine);
      } else {
        gradient = -unit * s.scale * sum;
      }
      const double own = read(p.own, i, k);
      if (label >= 0 && label < columns) {
        gradient += p.positive_weights[i] * s.scale * similarity_slope(own, read(p.other, label, k), p.similarity, p.power);
      }
      for (std::int64_t at = from; at < to; ++at) {
        const std::int64_t row = p.order != nullptr ? p.order[at] : at;
        const double x = p.self ? read(p.own, row, k) : read(p.other, row, k);
        gradient += p.positive_weights[row] * s.scale * similarity_slope(own, x, p.similarity, p.power);
      }
      write(p.out, i * p.own.columns + k, gradient);
    }
  }
}

struct FinishScalars {
  const double *row_product, *row_weight, *column_weight;  // null when not asked for
  const double *x_square, *y_square;                       // sqeuclidean only
  const double *positive_weights, *positive_similarities;
  std::int64_t n, m;
  const Scalars* scalars;
  Similarity similarity;
  float weight_scale;
  double* parts;         // kScalarParts x kScalarBlocks x kWarps
  double *scale, *bias;  // null when nobody asked
};

// Two steps of fixed shape, so that the order never changes.
inline constexpr int kScalarParts = 5, kScalarBlocks = 64;

struct ScalarParts {
  FinishScalars finish;
};

template <class M>
LPCM_BODY void run(M& m, const ScalarParts& parts) {
  const FinishScalars& p = parts.finish;
  double sums[kScalarParts] = {};  // products, weights, squares, positives, positive products
  const std::int64_t count = p.n > p.m ? p.n : p.m;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < count; i += kScalarBlocks * kThreads) {
    if (i < p.n) {
      if (p.row_product != nullptr) sums[0] += p.row_product[i];
      if (p.row_weight != nullptr) sums[1] += p.row_weight[i];
      if (p.x_square != nullptr && p.row_weight != nullptr) sums[2] += p.row_weight[i] * p.x_square[i];
      sums[3] += p.positive_weights[i];
      if (p.positive_similarities != nullptr) sums[4] += p.positive_weights[i] * p.positive_similarities[i];
    }
    if (i < p.m && p.y_square != nullptr && p.column_weight != nullptr) sums[2] += p.column_weight[i] * p.y_square[i];
  }
  for (int part = 0; part < kScalarParts; ++part) {
    const double sum = sum_over_warp(m, sums[part]);
    if ((m.thread() & 31) == 0) p.parts[(part * kScalarBlocks + m.block()) * kWarps + (m.thread() >> 5)] = sum;
  }
}

// One warp of one block.
template <class M>
LPCM_BODY void run(M& m, const FinishScalars& p) {
  if (m.thread() >= 32) return;
  double total[kScalarParts];
  for (int part = 0; part < kScalarParts; ++part) {
    double sum = 0.0;
    for (int i = m.thread(); i < kScalarBlocks * kWarps; i += 32) sum += p.parts[part * kScalarBlocks * kWarps + i];
    total[part] = sum_over_warp(m, sum);
  }
  if (m.thread() != 0) return;
  const Scalars& s = *p.scalars;
  const double unit = s.unit / static_cast<double>(p.weight_scale), products = total[0] * s.unscale_x * s.unscale_y;
  const bool squared = p.similarity == Similarity::sqeuclidean;  // sim = 2 x.y - |x|^2 - |y|^2
  if (p.scale != nullptr) *p.scale = unit * (squared ? 2 * products - total[2] : products) + total[4];
  if (p.bias != nullptr) *p.bias = unit * total[1] + total[3];
}

}  // namespace lpcm::cuda
