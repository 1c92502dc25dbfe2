// The plain twin of every kernel: one element at a time, in the order of the formulas, on any processor.
// It is the truth for the other levels; nothing here is tuned.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "bf16.hpp"
#include "kernels.hpp"

namespace lpcm::loss {
namespace {

template <class Slot>
inline constexpr int kPerSlot = 1;
template <>
inline constexpr int kPerSlot<BfPair> = 2;

inline std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

template <class T>
T times(T a, T b) { return a * b; }
inline float times(BfPair a, BfPair b) { return widen(a.low) * widen(b.low) + widen(a.high) * widen(b.high); }

template <class T>
T distance(T difference, Measure measure, T power) {
  return measure == Measure::l1 ? std::abs(difference) : std::pow(std::abs(difference), power);
}

// d |t|^p / dt, zero at the border t = 0 as torch has it
template <class T>
T slope(T t, Measure measure, T power) {
  if (t == 0) return 0;
  const T sign = t > 0 ? T(1) : t < 0 ? T(-1) : t;
  return measure == Measure::l1 ? sign : sign * power * std::pow(std::abs(t), power - 1);
}

enum class Layout { rows, lanes };

template <Layout kLayout, class Slot>
Slot element(const Operand<Slot>& o, int plane, std::int64_t row, std::int64_t k) {
  const Slot* data = o.data + plane * o.plane;
  return kLayout == Layout::rows ? data[k / kBlock * o.stride + row * kBlock + k % kBlock]
                                 : data[row / kBlock * o.stride + k * kBlock + row % kBlock];
}

enum class Purpose { logits, gradient };

template <class T, class Slot, Layout kA, Purpose kPurpose, int kPlanes>
void product(const Product<T, Slot>& p) {
  for (std::int64_t i = 0; i < p.m; ++i) {
    for (std::int64_t j = 0; j < p.blocks * kBlock; ++j) {
      T sum = 0;
      for (int pair = 0; pair < pair_count(kPlanes); ++pair) {
        for (std::int64_t k = 0; k < p.k; ++k) {
          const Slot a = element<kA>(p.a, kPlanePairs[pair].a, i, k);
          const Slot b = element<Layout::lanes>(p.b, kPlanePairs[pair].b, j, k);
          if constexpr (kPerSlot<Slot> == 1) {
            if (p.measure == Measure::dot) {
              sum += times(a, b);
            } else if constexpr (kPurpose == Purpose::logits) {
              sum -= distance(a - b, p.measure, p.power);
            } else {
              const T own = p.own[j / kBlock * p.own_stride + i * kBlock + j % kBlock];
              sum += a * slope(own - b, p.measure, p.power);
            }
          } else {
            sum += times(a, b);
          }
        }
      }
      T& c = p.c[i * p.c_stride + j];
      c = p.accumulate ? c + sum : sum;
    }
  }
}

inline bool counts(const Window& w, std::int64_t i, std::int64_t j) {
  return j < w.columns && (w.first == nullptr || j >= w.first[i]) && (w.hole == nullptr || j != w.hole[i]);
}

template <class T>
T logit(const Logits<T>& l, std::int64_t i, std::int64_t j) {
  T t = l.alpha * l.s[i * l.stride + j] + l.constant;
  if (l.row_term != nullptr) t += l.row_term[i] + l.column_term[j];
  return t;
}

// One value a row from `row(i, j, t)` summed over the columns that count; `column` sees the same elements.
template <class T, class Row, class Column>
void fold(const Logits<T>& l, T* row_out, T start, Row&& row, Column&& column) {
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    row_out[i] = start;
    for (std::int64_t j = 0; j < l.window.columns; ++j) {
      if (!counts(l.window, i, j)) continue;
      const T t = logit(l, i, j);
      row(i, t);
      column(i, j, t);
    }
  }
}

template <class T>
void exp_sums(const Logits<T>& l, T* row_sum, T* column_sum) {
  fold(l, row_sum, T(0), [&](auto i, T t) { row_sum[i] += std::exp(t); },
       [&](auto, auto j, T t) { if (column_sum != nullptr) column_sum[j] += std::exp(t); });
}

template <class T>
void exp_sums_shifted(const Logits<T>& l, const T* row_shift, const T* column_shift, T* row_sum, T* column_sum) {
  fold(l, row_sum, T(0), [&](auto i, T t) { row_sum[i] += std::exp(t - row_shift[i]); },
       [&](auto, auto j, T t) { if (column_sum != nullptr) column_sum[j] += std::exp(t - column_shift[j]); });
}

template <class T>
void maxima(const Logits<T>& l, T* row_max, T* column_max) {
  fold(l, row_max, -std::numeric_limits<T>::infinity(), [&](auto i, T t) { row_max[i] = t > row_max[i] ? t : row_max[i]; },
       [&](auto, auto j, T t) { if (column_max != nullptr && t > column_max[j]) column_max[j] = t; });
}

template <class T>
T softplus(T t) { return (t > 0 ? t : t < 0 ? T(0) : t) + std::log1p(std::exp(-std::abs(t))); }

template <class T>
T sigmoid(T t) {
  const T e = std::exp(-std::abs(t));
  return (t < 0 ? e : T(1)) / (1 + e);
}

template <class T>
void softplus_sums(const Logits<T>& l, T* row_sum) {
  fold(l, row_sum, T(0), [&](auto i, T t) { row_sum[i] += softplus(t); }, [](auto, auto, T) {});
}

template <Layout kLayout, class T, class Slot, int kPlanes>
void put(Slot* out, std::int64_t stride, std::int64_t plane, std::int64_t row, std::int64_t k, T value) {
  const std::int64_t slot = k / kPerSlot<Slot>;
  const std::int64_t at = kLayout == Layout::rows ? slot / kBlock * stride + row * kBlock + slot % kBlock
                                                  : row / kBlock * stride + slot * kBlock + row % kBlock;
  if constexpr (kPerSlot<Slot> == 1) {
    out[at] = value;
  } else {
    for (int i = 0; i < kPlanes; ++i) {
      BfPair& pair = out[i * plane + at];
      (k % 2 == 0 ? pair.low : pair.high) = split_bf16(value);
    }
  }
}

template <Weighing kWeighing, class T, class Slot, int kPlanes>
void weigh(const Logits<T>& l, const Weighed<T, Slot>& w) {
  constexpr std::int64_t kStep = kBlock * kPerSlot<Slot>;
  for (std::int64_t i = 0; i < round_up(l.window.rows, kStep); ++i) {
    T weight_sum = 0, product_sum = 0;
    for (std::int64_t j = 0; j < round_up(l.window.columns, kStep); ++j) {
      T value = 0;
      if (i < l.window.rows && counts(l.window, i, j)) {
        const T t = logit(l, i, j);
        if constexpr (kWeighing == Weighing::window) value = std::exp(t) * (w.a[i] + w.b[j]);
        if constexpr (kWeighing == Weighing::robust) {
          value = w.a[i] * std::exp(t - w.ra[i]) + w.b[j] * std::exp(t - w.rb[j]);
        }
        if constexpr (kWeighing == Weighing::sigmoid) value = w.a[i] * sigmoid(t);
        weight_sum += value;
        product_sum += value * l.s[i * l.stride + j];
        if (w.column_weight != nullptr) w.column_weight[j] += value;
      }
      if (w.by_rows != nullptr) put<Layout::rows, T, Slot, kPlanes>(w.by_rows, w.rows_stride, w.rows_plane, i, j, value);
      if (w.by_columns != nullptr) {
        put<Layout::lanes, T, Slot, kPlanes>(w.by_columns, w.columns_stride, w.columns_plane, j, i, value);
      }
    }
    if (i < l.window.rows) {
      w.row_weight[i] = weight_sum;
      w.row_product[i] = product_sum;
    }
  }
}

// Everything but the products.
template <class T, class Slot, int kGradientPlanes>
constexpr void fill_elementwise(Kernels<T, Slot>& k) {
  k.exp_sums = exp_sums<T>;
  k.exp_sums_shifted = exp_sums_shifted<T>;
  k.maxima = maxima<T>;
  k.softplus_sums = softplus_sums<T>;
  k.weigh[static_cast<int>(Weighing::window)] = weigh<Weighing::window, T, Slot, kGradientPlanes>;
  k.weigh[static_cast<int>(Weighing::robust)] = weigh<Weighing::robust, T, Slot, kGradientPlanes>;
  k.weigh[static_cast<int>(Weighing::sigmoid)] = weigh<Weighing::sigmoid, T, Slot, kGradientPlanes>;
}

}  // namespace
}  // namespace lpcm::loss
