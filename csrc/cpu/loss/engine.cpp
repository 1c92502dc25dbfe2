// The problem made concrete: sizes, buffers, norms, the positives, and which part of a tile counts.
#include "engine.hpp"

#include <algorithm>
#include <limits>

namespace lpcm::loss {

template <class T, class Slot>
Engine<T, Slot>::Engine(const ContrastiveProblem& problem, const Kernels<T, Slot>& kernels)
    : p_(problem), k_(kernels), n_(problem.x.rows), m_(y().rows), d_(problem.x.columns) {
  width_ = round_up(d_ > 0 ? d_ : 1, kBlock * kPer);
  chunk_rows_ = smaller(kChunkRows, round_up(n_, kPackRows));
  chunk_columns_ = smaller(kChunkColumns, round_up(m_, kPackRows));
  measure_ = p_.similarity == Similarity::l1 ? Measure::l1 : p_.similarity == Similarity::lp ? Measure::lp : Measure::dot;
  alpha_ = static_cast<T>(p_.similarity == Similarity::sqeuclidean ? 2 * p_.scale : p_.scale);

  const std::int64_t slots = width_ / kPer;
  x_pack_.rows_stride = (chunk_rows_ + kSkew) * kBlock;
  x_pack_.rows_plane = slots / kBlock * x_pack_.rows_stride;
  x_rows_ = Buffer<Slot>(k_.planes * x_pack_.rows_plane);
  x_pack_.rows = x_rows_.data();
  y_pack_.lanes_stride = (slots + kSkew) * kBlock;
  y_pack_.lanes_plane = chunk_columns_ / kBlock * y_pack_.lanes_stride;
  y_lanes_ = Buffer<Slot>(k_.planes * y_pack_.lanes_plane);
  y_pack_.lanes = y_lanes_.data();

  const std::int64_t workers = p_.threads;
  const std::int64_t row_tiles = round_up(chunk_rows_, kTileRows) / kTileRows;
  const std::int64_t column_tiles = round_up(chunk_columns_, kTileColumns) / kTileColumns;
  products_ = Buffer<T>(workers * kTileRows * kTileColumns);
  pack_scratch_ = Buffer<T>(workers * kPackRows * width_);
  pack_halves_ = Buffer<std::uint16_t>(kPer == 2 ? workers * kPackRows * width_ : 1);
  windows_ = Buffer<std::int32_t>(workers * 2 * kTileRows);
  doubles_ = Buffer<double>(workers * 3 * width_);
  row_partial_ = Buffer<T>(column_tiles * chunk_rows_);
  product_partial_ = Buffer<T>(column_tiles * chunk_rows_);
  column_partial_ = Buffer<T>(row_tiles * chunk_columns_);
  measure_sides();
}

// Squared norms about the centre, and from them a bound on every logit (Cauchy-Schwarz, triangle inequality). Rows that
// are not finite do not count: what they touch is NaN or infinite whatever the bound, and the others keep their digits.
template <class T, class Slot>
void Engine<T, Slot>::measure_sides() {
  const auto squares = [&](const Matrix& m) {
    std::vector<double> square(static_cast<std::size_t>(m.rows));
    parallel_ranges(p_.threads, m.rows, 64, [&](std::int64_t i, int worker) {
      double* row = scratch(worker, 0);
      read_row(m, i, centre(), row);
      double sum = 0;
      for (std::int64_t k = 0; k < d_; ++k) {
        const double value = as_multiplied(row[k], k_.planes);
        sum += value * value;
      }
      square[static_cast<std::size_t>(i)] = sum;
    });
    return square;
  };
  const auto largest = [](const std::vector<double>& square) {
    double best = 0;
    for (const double s : square) {
      if (std::isfinite(s)) best = std::max(best, s);
    }
    return std::sqrt(best);
  };
  if (p_.similarity == Similarity::sqeuclidean) {
    std::vector<double> mean(static_cast<std::size_t>(d_), 0.0);
    double* row = scratch(0, 0);
    for (std::int64_t j = 0; j < m_; ++j) {
      read_row(y(), j, nullptr, row);
      for (std::int64_t k = 0; k < d_; ++k) mean[static_cast<std::size_t>(k)] += row[k];
    }
    for (double& c : mean) {
      c /= static_cast<double>(m_);
      if (!std::isfinite(c)) c = 0;
    }
    centre_ = std::move(mean);
  }
  x_square_ = squares(p_.x);
  y_square_ = p_.self ? x_square_ : squares(y());
  const double x_norm = largest(x_square_), y_norm = largest(y_square_);
  const double scale = std::abs(p_.scale);
  if (p_.similarity == Similarity::dot) {
    bound_ = scale * x_norm * y_norm;
  } else if (p_.scale >= 0) {
    bound_ = 0;  // a negative distance
  } else if (p_.similarity == Similarity::sqeuclidean) {
    bound_ = scale * (x_norm + y_norm) * (x_norm + y_norm);
  } else {  // sum |t|^p <= d^(1 - p/2) |t|_2^p for p <= 2, <= |t|_2^p above
    const double p = p_.similarity == Similarity::l1 ? 1.0 : p_.power;
    bound_ = scale * std::pow(x_norm + y_norm, p) * std::pow(static_cast<double>(d_), std::max(0.0, 1 - p / 2));
  }
  bound_ += p_.bias;
  if (p_.similarity == Similarity::sqeuclidean) {
    const auto terms = [&](const std::vector<double>& square) {
      Buffer<T> out(static_cast<std::int64_t>(square.size()) + kTileColumns);  // read in whole blocks
      for (std::size_t i = 0; i < square.size(); ++i) out.data()[i] = static_cast<T>(-p_.scale * square[i]);
      std::fill(out.data() + square.size(), out.data() + square.size() + kTileColumns, T(0));
      return out;
    };
    row_term_ = terms(x_square_);
    column_term_ = terms(y_square_);
  }
}

template <class T, class Slot>
bool Engine<T, Slot>::finite() const {
  const auto all = [](const std::vector<double>& square) {
    return std::all_of(square.begin(), square.end(), [](double s) { return std::isfinite(s); });
  };
  return all(x_square_) && all(y_square_);
}

template <class T, class Slot>
void Engine<T, Slot>::pack_chunk(const Matrix& m, std::int64_t first, std::int64_t rows, const Packed<Slot>& out) {
  parallel_for(p_.threads, round_up(rows, kPackRows) / kPackRows, [&](std::int64_t group, int worker) {
    pack(m, first + group * kPackRows, group * kPackRows, centre(), width_, k_.planes, k_.gradient_planes,
         pack_scratch_.data() + worker * kPackRows * width_,
         pack_halves_.data() + (kPer == 2 ? worker * kPackRows * width_ : 0), out);
  });
}

// sim(x_i, y_{l_i}) in double, from the caller's own numbers: the positive never meets bf16.
template <class T, class Slot>
double Engine<T, Slot>::positive_similarity(std::int64_t i, int worker) {
  double *a = scratch(worker, 0), *b = scratch(worker, 1);
  read_row(p_.x, i, nullptr, a);
  read_row(y(), label_of(p_, i), nullptr, b);
  double sum = 0;
  switch (p_.similarity) {
    case Similarity::dot:
      for (std::int64_t k = 0; k < d_; ++k) sum += a[k] * b[k];
      return sum;
    case Similarity::sqeuclidean:
      for (std::int64_t k = 0; k < d_; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
      return -sum;
    case Similarity::l1:
      for (std::int64_t k = 0; k < d_; ++k) sum += std::abs(a[k] - b[k]);
      return -sum;
    case Similarity::lp:
      for (std::int64_t k = 0; k < d_; ++k) sum += std::pow(std::abs(a[k] - b[k]), p_.power);
      return -sum;
  }
  return sum;
}

template <class T, class Slot>
void Engine<T, Slot>::fill_window(Tile& t, int worker) {
  std::int32_t* hole = windows_.data() + worker * 2 * kTileRows;
  std::int32_t* first = hole + kTileRows;
  const std::int64_t column = t.matrix_column;
  bool any_hole = false, any_first = false;
  for (std::int64_t r = 0; r < t.rows; ++r) {
    const std::int64_t row = t.matrix_row + r, label = label_of(p_, row) - column;
    hole[r] = label >= 0 && label < t.columns ? static_cast<std::int32_t>(label) : -1;
    any_hole = any_hole || hole[r] >= 0;
    const std::int64_t start = p_.self ? smaller(row + 1 - column, t.columns) : 0;
    first[r] = static_cast<std::int32_t>(start > 0 ? start : 0);
    any_first = any_first || first[r] > 0;
  }
  t.logits.window.hole = any_hole ? hole : nullptr;
  t.logits.window.first = any_first ? first : nullptr;
}

template class Engine<double, double>;
template class Engine<float, float>;
template class Engine<float, BfPair>;

}  // namespace lpcm::loss
