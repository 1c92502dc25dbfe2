// Gradients of both sides, of the scale and of the bias, for given weights of what `forward` returned.
//
// Off the positives d loss / d s_ij = g_i exp(s_ij - rows_i) + h_j exp(s_ij - columns_j) = w_ij. A chunk of w is formed
// once and enters two products, w Y and w^T X; with the one of `forward` and the logits formed again here that is
// 8 n m d operations in all. The positives enter at the end, from the caller's own numbers.
#include <algorithm>
#include <cstring>
#include <limits>

#include "walk.hpp"

namespace lpcm::loss {
namespace {

// One exp serves rows and columns when its shift can be at most `above` under the largest log-sum-exp (no overflow) and
// at most `below` over the smallest: what it flushes to zero is then under e^-20 of every row and column.
template <class T>
struct Spread {
  static constexpr double above = 60.0, below = 67.0;
};
template <>
struct Spread<double> {
  static constexpr double above = 600.0, below = 670.0;
};

double largest(const double* values, std::int64_t count) {
  double best = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isfinite(values[i])) best = std::max(best, std::abs(values[i]));
  }
  return best;
}

double slope_of(double t, Similarity similarity, double power) {
  return slope(t, similarity == Similarity::l1 ? Measure::l1 : Measure::lp, power);
}

}  // namespace

template <class T, class Slot>
typename Engine<T, Slot>::Coefficients Engine<T, Slot>::coefficients(const ContrastiveStatistics& saved,
                                                                     const ContrastiveWeights& weights) const {
  const bool columns = p_.directions == Directions::both;
  Coefficients c;
  c.unit = std::max(largest(weights.rows, n_), columns ? largest(weights.columns, m_) : 0.0);
  if (c.unit == 0) c.unit = 1;
  c.weighing = Weighing::sigmoid;
  double shift = 0;
  if (p_.objective == Objective::softmax) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    bool finite = true;
    const auto see = [&](const double* values, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        if (values[i] == -std::numeric_limits<double>::infinity()) continue;  // no terms
        finite = finite && std::isfinite(values[i]);
        low = std::min(low, values[i]);
        high = std::max(high, values[i]);
      }
    };
    see(saved.rows, n_);
    if (columns) see(saved.columns, m_);
    const double least = high - Spread<T>::above, most = low + Spread<T>::below;
    const bool window = finite && least <= most;
    c.weighing = window ? Weighing::window : Weighing::robust;
    if (window) shift = std::min(std::max(window_shift(), least), most);
  }
  // a whole number in a window, so that adding it to a logit rounds no more than the logit itself was rounded
  const double exact = p_.bias - shift;
  c.constant = static_cast<T>(c.weighing != Weighing::window ? exact : exact > 0 ? std::ceil(exact) : std::floor(exact));
  const double back = p_.bias - static_cast<double>(c.constant);  // the shift after rounding

  const auto fill = [&](const double* g, const double* rest, std::int64_t count, Buffer<T>& factor, Buffer<T>& own) {
    factor = Buffer<T>(count + kTileColumns);  // read in whole blocks
    own = Buffer<T>(c.weighing == Weighing::robust ? count + kTileColumns : 1);
    std::fill(factor.data(), factor.data() + count + kTileColumns, T(0));
    // where there is no weight the exp must vanish too: zero times infinity would be a NaN
    constexpr T kFar = T(1e30);
    if (c.weighing == Weighing::robust) std::fill(own.data(), own.data() + count + kTileColumns, kFar);
    if (g == nullptr) return;
    for (std::int64_t i = 0; i < count; ++i) {
      const bool none = c.weighing != Weighing::sigmoid && rest[i] == -std::numeric_limits<double>::infinity();
      double value = none ? 0.0 : g[i] / c.unit;
      if (c.weighing == Weighing::window && !none) value *= std::exp(back - rest[i]);
      factor.data()[i] = static_cast<T>(value);
      if (c.weighing == Weighing::robust) own.data()[i] = none ? kFar : static_cast<T>(rest[i]);
    }
  };
  fill(weights.rows, saved.rows, n_, c.a, c.ra);
  if (p_.self) {
    fill(weights.rows, saved.rows, n_, c.b, c.rb);
  } else {
    fill(columns ? weights.columns : nullptr, saved.columns, m_, c.b, c.rb);
  }
  return c;
}

// gradient += weight * d s(own, other) / d own
template <class T, class Slot>
void Engine<T, Slot>::add_positive(double weight, const double* own, const double* other, double* gradient) const {
  const double w = weight * p_.scale;
  switch (p_.similarity) {
    case Similarity::dot:
      for (std::int64_t k = 0; k < d_; ++k) gradient[k] += w * other[k];
      break;
    case Similarity::sqeuclidean:
      for (std::int64_t k = 0; k < d_; ++k) gradient[k] += 2 * w * (other[k] - own[k]);
      break;
    case Similarity::l1:
    case Similarity::lp:
      for (std::int64_t k = 0; k < d_; ++k) gradient[k] -= w * slope_of(own[k] - other[k], p_.similarity, p_.power);
      break;
  }
}

// `sums`: what the gradient product gave for these rows; `weights`: sum of w over each row of this side (sqeuclidean).
template <class T, class Slot>
void Engine<T, Slot>::write_gradient(const GradientMatrix& out, const Side& side, std::int64_t first, std::int64_t rows,
                                     const T* sums, const std::vector<double>& weights, double unit,
                                     const double* positive_weights, const Inverse& inverse) {
  const double factor = unit * static_cast<double>(measure_ == Measure::dot ? alpha_ : -alpha_);
  parallel_ranges(p_.threads, rows, 32, [&](std::int64_t r, int worker) {
    double *own = scratch(worker, 0), *other = scratch(worker, 1), *gradient = scratch(worker, 2);
    const std::int64_t i = first + r;
    read_row(side.own, i, nullptr, own);
    for (std::int64_t k = 0; k < d_; ++k) {
      double sum = static_cast<double>(sums[r * width_ + k]);
      if (p_.similarity == Similarity::sqeuclidean) {
        const double value = as_multiplied(own[k] - centre_[static_cast<std::size_t>(k)], k_.gradient_planes);
        sum -= weights[static_cast<std::size_t>(i)] * value;
      }
      gradient[k] = factor * sum;
    }
    if (side.is_x) {
      read_row(side.other, label_of(p_, i), nullptr, other);
      add_positive(positive_weights[i], own, other, gradient);
    }
    if (!side.is_x || p_.self) {
      for (std::int64_t at = inverse.start[static_cast<std::size_t>(i)]; at < inverse.start[static_cast<std::size_t>(i) + 1]; ++at) {
        const std::int64_t row = inverse.order[static_cast<std::size_t>(at)];
        read_row(p_.x, row, nullptr, other);
        add_positive(positive_weights[row], own, other, gradient);
      }
    }
    write_row(out, i, d_, gradient);
  });
}

template <class T, class Slot>
void Engine<T, Slot>::backward(const ContrastiveStatistics& saved, const ContrastiveWeights& weights,
                               const ContrastiveGradients& out) {
  const bool x_wanted = out.x.data != nullptr, y_wanted = out.y.data != nullptr && !p_.self;
  const bool by_rows = x_wanted, by_columns = y_wanted || (p_.self && x_wanted);
  const bool distances = measure_ != Measure::dot;
  const bool weigh_columns = p_.similarity == Similarity::sqeuclidean;
  const Coefficients c = coefficients(saved, weights);
  const Inverse inverse(p_, n_, m_);

  const std::int64_t row_slots = chunk_rows_ / kPer, column_slots = chunk_columns_ / kPer;
  const int planes = k_.gradient_planes;
  Buffer<Slot> w_rows, w_columns, x_features, y_features;
  if (by_rows || distances) {
    y_pack_.features_stride = (column_slots + kSkew) * kBlock;
    y_pack_.features_plane = width_ / kBlock * y_pack_.features_stride;
    y_features = Buffer<Slot>(planes * y_pack_.features_plane);
    y_pack_.features_lanes = y_features.data();
  }
  if (by_columns) {
    const bool lanes = k_.features == FeatureLayout::lanes;
    x_pack_.features_stride = ((lanes ? row_slots : width_) + kSkew) * kBlock;
    x_pack_.features_plane = (lanes ? width_ : row_slots) / kBlock * x_pack_.features_stride;
    x_features = Buffer<Slot>(planes * x_pack_.features_plane);
    (lanes ? x_pack_.features_lanes : x_pack_.features_rows) = x_features.data();
  }
  Weighed<T, Slot> form{};
  form.rows_stride = (chunk_rows_ + kSkew) * kBlock;
  form.rows_plane = column_slots / kBlock * form.rows_stride;
  form.columns_stride = (row_slots + kSkew) * kBlock;
  form.columns_plane = chunk_columns_ / kBlock * form.columns_stride;
  // one slot an element: both layouts are the same
  if (by_rows || (by_columns && kPer == 1)) w_rows = Buffer<Slot>(planes * form.rows_plane);
  if (by_columns && kPer == 2) w_columns = Buffer<Slot>(planes * form.columns_plane);
  form.by_rows = w_rows.data();
  form.by_columns = kPer == 1 ? w_rows.data() : w_columns.data();

  // gradient sums: of x for one chunk of rows, of y (or of x when it is both sides) for all of it
  const std::int64_t all = round_up(m_, kPackRows) * width_;
  Buffer<T> x_sums = by_rows && !p_.self ? Buffer<T>(chunk_rows_ * width_) : Buffer<T>();
  Buffer<T> y_sums = by_columns ? Buffer<T>(all) : Buffer<T>();
  if (by_columns) {
    parallel_for(p_.threads, round_up(m_, kPackRows) / kPackRows, [&](std::int64_t group, int) {
      std::fill_n(y_sums.data() + group * kPackRows * width_, kPackRows * width_, T(0));
    });
  }
  std::vector<double> row_weight(static_cast<std::size_t>(n_), 0.0), row_product(static_cast<std::size_t>(n_), 0.0);
  std::vector<double> column_weight(static_cast<std::size_t>(weigh_columns && !p_.self ? m_ : 0), 0.0);
  double* columns_into = p_.self ? row_weight.data() : column_weight.data();
  double weight_total = 0;

  const auto tiles = [](std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; };
  const auto multiply_rows = [&](const Chunk& chunk, std::int64_t index, T* sums) {
    const std::int64_t row_tiles = tiles(chunk.rows, kTileRows);
    const std::int64_t r = index % row_tiles * kTileRows, f = index / row_tiles * kTileFeatures;
    Product<T, Slot> q{};
    q.a = {w_rows.data() + r * kBlock, form.rows_stride, form.rows_plane};
    q.b = {y_pack_.features_lanes + f / kBlock * y_pack_.features_stride, y_pack_.features_stride, y_pack_.features_plane};
    if constexpr (kPer == 1) q.own = x_pack_.rows + f / kBlock * x_pack_.rows_stride + r * kBlock;
    q.own_stride = x_pack_.rows_stride;
    q.m = round_up(smaller(kTileRows, chunk.rows - r), kBlock);
    q.blocks = smaller(kTileFeatures, width_ - f) / kBlock;
    q.k = round_up(chunk.columns, kBlock * kPer) / kPer;
    q.c = sums + r * width_ + f;
    q.c_stride = width_;
    q.accumulate = true;
    q.measure = measure_;
    q.power = static_cast<T>(p_.power);
    if (p_.self) {  // w is zero up to the diagonal
      const std::int64_t zeros = smaller(std::max<std::int64_t>(chunk.row + r - chunk.column, 0), chunk.columns);
      const std::int64_t blocks = zeros / (kBlock * kPer);
      q.a.data += blocks * form.rows_stride;
      q.b.data += blocks * kBlock * kBlock;
      q.k -= blocks * kBlock;
    }
    if (q.k > 0) k_.product_rows(q);
  };
  const auto multiply_columns = [&](const Chunk& chunk, std::int64_t index) {
    const std::int64_t column_tiles = tiles(chunk.columns, kTileColumns);
    const std::int64_t j = index % column_tiles * kTileColumns, f = index / column_tiles * kTileFeatures;
    Product<T, Slot> q{};
    q.a = {form.by_columns + j / kBlock * form.columns_stride, form.columns_stride, form.columns_plane};
    const bool lanes = k_.features == FeatureLayout::lanes;
    const Slot* features = lanes ? x_pack_.features_lanes + f / kBlock * x_pack_.features_stride
                                 : x_pack_.features_rows + f * kBlock;
    q.b = {features, x_pack_.features_stride, x_pack_.features_plane};
    if constexpr (kPer == 1) {
      if (distances) q.own = y_pack_.features_lanes + f / kBlock * y_pack_.features_stride + j * kBlock;
    }
    q.own_stride = y_pack_.features_stride;
    q.m = round_up(smaller(kTileColumns, chunk.columns - j), kBlock);
    q.blocks = smaller(kTileFeatures, width_ - f) / kBlock;
    q.k = round_up(chunk.rows, kBlock * kPer) / kPer;
    q.c = y_sums.data() + (chunk.column + j) * width_ + f;
    q.c_stride = width_;
    q.accumulate = true;
    q.measure = measure_;
    q.power = static_cast<T>(p_.power);
    if (p_.self) {  // w is zero from the diagonal on
      const std::int64_t last = chunk.column + smaller(j + kTileColumns, chunk.columns) - 1;
      q.k = round_up(smaller(std::max<std::int64_t>(last - chunk.row, 0), chunk.rows), kBlock * kPer) / kPer;
    }
    if (q.k > 0) k_.product_columns(q);
  };
  const auto multiply = [&](const Chunk& chunk) {
    const std::int64_t feature_tiles = tiles(width_, kTileFeatures);
    const std::int64_t row_tasks = by_rows ? tiles(chunk.rows, kTileRows) * feature_tiles : 0;
    const std::int64_t column_tasks = by_columns ? tiles(chunk.columns, kTileColumns) * feature_tiles : 0;
    T* sums = p_.self ? y_sums.data() + chunk.row * width_ : x_sums.data();
    const auto task = [&](std::int64_t index, int) {
      if (index < row_tasks) {
        multiply_rows(chunk, index, sums);
      } else {
        multiply_columns(chunk, index - row_tasks);
      }
    };
    if (!p_.self) return parallel_for(p_.threads, row_tasks + column_tasks, task);
    // both add to the same sums, one after the other
    parallel_for(p_.threads, row_tasks, task);
    parallel_for(p_.threads, column_tasks, [&](std::int64_t index, int) { multiply_columns(chunk, index); });
  };

  walk(c.constant,
       [&](std::int64_t, std::int64_t) { if (x_sums) std::fill_n(x_sums.data(), chunk_rows_ * width_, T(0)); },
       [&](Tile& t) {
         Weighed<T, Slot> w = form;
         w.row_weight = t.row_out;
         w.row_product = t.product_out;
         w.column_weight = weigh_columns ? t.column_out : nullptr;
         if (weigh_columns) std::fill_n(t.column_out, t.columns, T(0));
         if (w.by_rows != nullptr) w.by_rows += t.column / kPer / kBlock * w.rows_stride + t.row * kBlock;
         if (w.by_columns != nullptr) w.by_columns += t.column / kBlock * w.columns_stride + t.row / kPer * kBlock;
         if (t.empty) {  // under the diagonal: no logits, but zeros for the products to read
           t.logits.window.rows = 0;
           std::fill_n(t.row_out, t.rows, T(0));
           std::fill_n(t.product_out, t.rows, T(0));
           const std::int64_t columns = round_up(t.columns, kBlock * kPer), rows = round_up(t.rows, kBlock * kPer);
           for (int plane = 0; plane < planes; ++plane) {
             for (std::int64_t block = 0; w.by_rows != nullptr && block < columns / kPer / kBlock; ++block) {
               std::memset(w.by_rows + plane * w.rows_plane + block * w.rows_stride, 0, static_cast<std::size_t>(rows * kBlock) * sizeof(Slot));
             }
             for (std::int64_t block = 0; w.by_columns != nullptr && block < columns / kBlock; ++block) {
               std::memset(w.by_columns + plane * w.columns_plane + block * w.columns_stride, 0,
                           static_cast<std::size_t>(rows / kPer * kBlock) * sizeof(Slot));
             }
           }
           return;
         }
         w.a = c.a.data() + t.matrix_row;
         w.b = c.b.data() + t.matrix_column;
         w.ra = c.weighing == Weighing::robust ? c.ra.data() + t.matrix_row : nullptr;
         w.rb = c.weighing == Weighing::robust ? c.rb.data() + t.matrix_column : nullptr;
         k_.weigh[static_cast<int>(c.weighing)](t.logits, w);
       },
       [&](const Chunk& chunk) {
         fold_rows(chunk, row_partial_, [&](std::int64_t i, T v) { row_weight[static_cast<std::size_t>(i)] += static_cast<double>(v); });
         fold_rows(chunk, product_partial_, [&](std::int64_t i, T v) { row_product[static_cast<std::size_t>(i)] += static_cast<double>(v); });
         if (p_.self && weigh_columns) {  // taken before the columns' share is added to the same place
           for (std::int64_t i = chunk.row; i < chunk.row + chunk.rows; ++i) {
             for (std::int64_t column = 0, at = i - chunk.row; column < chunk.columns; column += kTileColumns, at += chunk_rows_) {
               weight_total += static_cast<double>(row_partial_.data()[at]);
             }
           }
         }
         if (weigh_columns) fold_columns(chunk, [&](std::int64_t j, T v) { columns_into[j] += static_cast<double>(v); });
         multiply(chunk);
       },
       [&](std::int64_t first, std::int64_t rows) {
         if (x_wanted && !p_.self) {
           write_gradient(out.x, {p_.x, y(), true}, first, rows, x_sums.data(), row_weight, c.unit, weights.positives, inverse);
         }
       });
  if (x_wanted && p_.self) {
    write_gradient(out.x, {p_.x, p_.x, true}, 0, n_, y_sums.data(), row_weight, c.unit, weights.positives, inverse);
  }
  if (y_wanted) {
    write_gradient(out.y, {p_.y, p_.x, false}, 0, m_, y_sums.data(), column_weight, c.unit, weights.positives, inverse);
  }

  if (out.scale == nullptr && out.bias == nullptr) return;
  double weighted = 0, positive_total = 0, positive_weighted = 0, row_weights = 0;
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    weighted += row_product[at];
    row_weights += row_weight[at];
    positive_total += weights.positives[i];
  }
  if (p_.self && weigh_columns) row_weights = weight_total;
  if (p_.similarity == Similarity::sqeuclidean) {  // the products are x.y; the similarity is 2 x.y - |x|^2 - |y|^2
    weighted *= 2;
    for (std::size_t i = 0; i < row_weight.size(); ++i) weighted -= row_weight[i] * x_square_[i];
    for (std::size_t j = 0; j < column_weight.size(); ++j) weighted -= column_weight[j] * y_square_[j];
  }
  std::vector<double> similarities(static_cast<std::size_t>(n_));
  if (out.scale != nullptr) {
    parallel_ranges(p_.threads, n_, 64, [&](std::int64_t i, int worker) {
      similarities[static_cast<std::size_t>(i)] = positive_similarity(i, worker);
    });
    for (std::int64_t i = 0; i < n_; ++i) positive_weighted += weights.positives[i] * similarities[static_cast<std::size_t>(i)];
    *out.scale = c.unit * weighted + positive_weighted;
  }
  if (out.bias != nullptr) *out.bias = c.unit * row_weights + positive_total;
}

template void Engine<double, double>::backward(const ContrastiveStatistics&, const ContrastiveWeights&, const ContrastiveGradients&);
template void Engine<float, float>::backward(const ContrastiveStatistics&, const ContrastiveWeights&, const ContrastiveGradients&);
template void Engine<float, BfPair>::backward(const ContrastiveStatistics&, const ContrastiveWeights&, const ContrastiveGradients&);

}  // namespace lpcm::loss
