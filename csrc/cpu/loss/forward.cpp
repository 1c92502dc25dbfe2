// Row and column log-sum-exp over the negatives, and the positives.
//
// One shift for the whole matrix lets one exp serve both directions. With bound B >= every logit, it is at least
// B - headroom, so that a sum of all terms cannot overflow; afterwards every sum is checked to be large enough that what
// was flushed to zero could not have shown in it. The first try is no shift at all where the bound allows it, because a
// logit that is not moved is not rounded again; the second is the bound's; the last are each row's and column's own
// maxima.
#include <algorithm>
#include <limits>

#include "walk.hpp"

namespace lpcm::loss {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// exp(t) is normal for t in (low, high); what is under `digits` of a sum does not show in it
template <class T>
struct Range;
template <>
struct Range<float> {
  static constexpr double low = -87.0, high = 88.0, digits = 17.4;  // ln 2^25
};
template <>
struct Range<double> {
  static constexpr double low = -708.0, high = 709.0, digits = 37.5;  // ln 2^54
};

}  // namespace

// The least shift that cannot overflow. Shifts differ from the bias by whole numbers, so that applying one to a logit
// rounds no more than the logit itself was rounded.
template <class T, class Slot>
double Engine<T, Slot>::lowest_shift() const {
  const double headroom = Range<T>::high - 1 - std::log(static_cast<double>(std::max(n_, m_)));
  return p_.bias + std::ceil(bound_ - headroom - p_.bias);
}

// No shift where that is safe. Also the first choice of the backward pass: logits that are rounded in the same way there
// make weights that sum to what the log-sum-exp says.
template <class T, class Slot>
double Engine<T, Slot>::window_shift() const {
  return std::max(p_.bias, lowest_shift());
}

template <class T, class Slot>
typename Engine<T, Slot>::Sums Engine<T, Slot>::exp_sums(T constant, const T* row_shift, const T* column_shift) {
  Sums sums;
  sums.rows.assign(static_cast<std::size_t>(n_), 0.0);
  sums.columns.assign(static_cast<std::size_t>(needs_columns() && !p_.self ? m_ : 0), 0.0);
  double* columns = p_.self ? sums.rows.data() : sums.columns.data();
  walk(constant, [](auto, auto) {},
       [&](Tile& t) {
         T* column_out = needs_columns() ? t.column_out : nullptr;
         std::fill(t.column_out, t.column_out + t.columns, T(0));
         if (t.empty) {
           std::fill(t.row_out, t.row_out + t.rows, T(0));
         } else if (row_shift == nullptr) {
           k_.exp_sums(t.logits, t.row_out, column_out);
         } else {
           k_.exp_sums_shifted(t.logits, row_shift + t.matrix_row, column_shift + t.matrix_column, t.row_out, column_out);
         }
       },
       [&](const Chunk& c) {
         fold_rows(c, row_partial_, [&](std::int64_t i, T v) { sums.rows[static_cast<std::size_t>(i)] += static_cast<double>(v); });
         if (needs_columns()) fold_columns(c, [&](std::int64_t j, T v) { columns[j] += static_cast<double>(v); });
       },
       [](auto, auto) {});
  return sums;
}

template <class T, class Slot>
typename Engine<T, Slot>::Sums Engine<T, Slot>::maxima(T constant) {
  Sums best;
  best.rows.assign(static_cast<std::size_t>(n_), kMinusInfinity);
  best.columns.assign(static_cast<std::size_t>(needs_columns() && !p_.self ? m_ : 0), kMinusInfinity);
  double* columns = p_.self ? best.rows.data() : best.columns.data();
  walk(constant, [](auto, auto) {},
       [&](Tile& t) {
         std::fill(t.column_out, t.column_out + t.columns, -std::numeric_limits<T>::infinity());
         if (t.empty) {
           std::fill(t.row_out, t.row_out + t.rows, -std::numeric_limits<T>::infinity());
         } else {
           k_.maxima(t.logits, t.row_out, needs_columns() ? t.column_out : nullptr);
         }
       },
       [&](const Chunk& c) {
         fold_rows(c, row_partial_, [&](std::int64_t i, T v) {
           double& b = best.rows[static_cast<std::size_t>(i)];
           b = std::max(b, static_cast<double>(v));
         });
         if (needs_columns()) fold_columns(c, [&](std::int64_t j, T v) { columns[j] = std::max(columns[j], static_cast<double>(v)); });
       },
       [](auto, auto) {});
  return best;
}

// Whether some sum that has terms is so small that flushed terms could show. A NaN is an answer, not a loss.
template <class T, class Slot>
bool Engine<T, Slot>::underflowed(const Sums& sums, double threshold, const Inverse& inverse) const {
  const std::int64_t per_row = m_ - (p_.self ? 2 : 1);
  if (per_row > 0) {
    for (const double s : sums.rows) {
      if (s < threshold) return true;
    }
  }
  for (std::size_t j = 0; j < sums.columns.size(); ++j) {
    if (sums.columns[j] < threshold && n_ > inverse.count(static_cast<std::int64_t>(j))) return true;
  }
  return false;
}

template <class T, class Slot>
bool Engine<T, Slot>::try_window(double shift, const ContrastiveStatistics& out) {
  if (!std::isfinite(shift)) return false;
  const double terms = std::log(static_cast<double>(std::max(n_, m_)));
  const T constant = static_cast<T>(p_.bias - shift);
  const Sums sums = exp_sums(constant, nullptr, nullptr);
  if (underflowed(sums, std::exp(Range<T>::low + terms + Range<T>::digits), Inverse(p_, n_, m_))) return false;
  const double back = p_.bias - static_cast<double>(constant);
  for (std::int64_t i = 0; i < n_; ++i) out.rows[i] = std::log(sums.rows[static_cast<std::size_t>(i)]) + back;
  for (std::size_t j = 0; j < sums.columns.size(); ++j) out.columns[j] = std::log(sums.columns[j]) + back;
  return true;
}

template <class T, class Slot>
void Engine<T, Slot>::robust_statistics(const ContrastiveStatistics& out) {
  const T constant = static_cast<T>(p_.bias);
  const Sums best = maxima(constant);
  const auto shifts = [](const std::vector<double>& values) {
    Buffer<T> out(static_cast<std::int64_t>(values.size()) + kTileColumns);  // read in whole blocks
    for (std::size_t i = 0; i < values.size(); ++i) out.data()[i] = std::isfinite(values[i]) ? static_cast<T>(values[i]) : T(0);
    std::fill(out.data() + values.size(), out.data() + values.size() + kTileColumns, T(0));
    return out;
  };
  const Buffer<T> row_shift = shifts(best.rows), column_shift = shifts(p_.self ? best.rows : best.columns);
  const Sums sums = exp_sums(constant, row_shift.data(), column_shift.data());
  for (std::int64_t i = 0; i < n_; ++i) {
    out.rows[i] = std::log(sums.rows[static_cast<std::size_t>(i)]) + static_cast<double>(row_shift.data()[i]);
  }
  for (std::size_t j = 0; j < sums.columns.size(); ++j) {
    out.columns[j] = std::log(sums.columns[j]) + static_cast<double>(column_shift.data()[j]);
  }
}

template <class T, class Slot>
void Engine<T, Slot>::sigmoid_statistics(const ContrastiveStatistics& out) {
  std::fill(out.rows, out.rows + n_, 0.0);
  walk(static_cast<T>(p_.bias), [](auto, auto) {}, [&](Tile& t) { k_.softplus_sums(t.logits, t.row_out); },
       [&](const Chunk& c) { fold_rows(c, row_partial_, [&](std::int64_t i, T v) { out.rows[i] += static_cast<double>(v); }); },
       [](auto, auto) {});
}

template <class T, class Slot>
void Engine<T, Slot>::forward(const ContrastiveStatistics& out) {
  parallel_ranges(p_.threads, n_, 64, [&](std::int64_t i, int worker) {
    out.positives[i] = p_.scale * positive_similarity(i, worker) + p_.bias;
  });
  if (p_.objective == Objective::sigmoid) return sigmoid_statistics(out);
  const double first = window_shift(), lowest = lowest_shift();
  if (try_window(first, out)) return;
  if (first > lowest && try_window(lowest, out)) return;
  robust_statistics(out);
}

template double Engine<double, double>::window_shift() const;
template double Engine<float, float>::window_shift() const;
template double Engine<float, BfPair>::window_shift() const;
template void Engine<double, double>::forward(const ContrastiveStatistics&);
template void Engine<float, float>::forward(const ContrastiveStatistics&);
template void Engine<float, BfPair>::forward(const ContrastiveStatistics&);

}  // namespace lpcm::loss
