// What happens to a tile of products: exp, softplus, sums over rows and columns, weights for the gradient.
// Include after a header that defines `Vector` and after vector_math.hpp.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels.hpp"

namespace lpcm::loss {
namespace {

// One row of a tile, seen register by register.
struct Row {
  const float* s;
  Reg alpha, constant;
  const float* column_term;  // null: none
  std::int32_t first, end, hole;
  bool whole;                // every column counts

  Row(const Logits<float>& l, std::int64_t i)
      : s(l.s + i * l.stride),
        alpha(Vector::set(l.alpha)),
        constant(Vector::set(l.row_term == nullptr ? l.constant : l.constant + l.row_term[i])),
        column_term(l.column_term),
        first(l.window.first == nullptr ? 0 : l.window.first[i]),
        end(static_cast<std::int32_t>(l.window.columns)),
        hole(l.window.hole == nullptr ? -1 : l.window.hole[i]),
        whole(first == 0 && hole < 0 && end % kBlock == 0) {}

  Reg logit(std::int64_t j) const {
    const Reg t = Vector::fma(alpha, Vector::load(s + j), constant);
    return column_term == nullptr ? t : Vector::add(t, Vector::load(column_term + j));
  }
  Vector::Lanes lanes(std::int64_t j) const { return Vector::lanes(static_cast<std::int32_t>(j), first, end, hole); }
};

// body(j, kept) for every register of the row, where kept(value, otherwise) blanks the lanes that do not count.
template <class Body>
inline void over(const Row& row, Body&& body) {
  if (row.whole) {
    for (std::int64_t j = 0; j < row.end; j += Vector::kLanes) body(j, [](Reg x, Reg) { return x; });
  } else {
    for (std::int64_t j = 0; j < row.end; j += Vector::kLanes) {
      const Vector::Lanes lanes = row.lanes(j);
      body(j, [lanes](Reg x, Reg otherwise) { return Vector::keep(lanes, x, otherwise); });
    }
  }
}

// The arrays of column results end where the columns do; a partial register goes through this.
inline void add_to(float* out, std::int64_t j, std::int64_t end, Reg x) {
  if (j + Vector::kLanes <= end) {
    Vector::store(out + j, Vector::add(Vector::load(out + j), x));
  } else {
    float lane[Vector::kLanes];
    Vector::store(lane, x);
    for (std::int64_t l = 0; j + l < end; ++l) out[j + l] += lane[l];
  }
}

void exp_sums(const Logits<float>& l, float* row_sum, float* column_sum) {
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    const Row row(l, i);
    Reg sum = Vector::zero();
    over(row, [&](std::int64_t j, auto kept) {
      const Reg e = kept(exp(row.logit(j)), Vector::zero());
      sum = Vector::add(sum, e);
      if (column_sum != nullptr) add_to(column_sum, j, row.end, e);
    });
    row_sum[i] = Vector::sum(sum);
  }
}

void exp_sums_shifted(const Logits<float>& l, const float* row_shift, const float* column_shift, float* row_sum, float* column_sum) {
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    const Row row(l, i);
    const Reg shift = Vector::set(row_shift[i]);
    Reg sum = Vector::zero();
    over(row, [&](std::int64_t j, auto kept) {
      const Reg t = row.logit(j);
      sum = Vector::add(sum, kept(exp(Vector::sub(t, shift)), Vector::zero()));
      if (column_sum != nullptr) {
        add_to(column_sum, j, row.end, kept(exp(Vector::sub(t, Vector::load(column_shift + j))), Vector::zero()));
      }
    });
    row_sum[i] = Vector::sum(sum);
  }
}

void maxima(const Logits<float>& l, float* row_max, float* column_max) {
  const Reg lowest = Vector::set(-std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    const Row row(l, i);
    Reg best = lowest;
    over(row, [&](std::int64_t j, auto kept) {
      const Reg t = kept(row.logit(j), lowest);
      best = Vector::max(t, best);
      if (column_max == nullptr) return;
      float lane[Vector::kLanes];
      Vector::store(lane, t);
      for (std::int64_t k = 0; k < Vector::kLanes && j + k < row.end; ++k) {
        if (lane[k] > column_max[j + k]) column_max[j + k] = lane[k];
      }
    });
    row_max[i] = Vector::largest(best);
  }
}

void softplus_sums(const Logits<float>& l, float* row_sum) {
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    const Row row(l, i);
    Reg sum = Vector::zero();
    over(row, [&](std::int64_t j, auto kept) { sum = Vector::add(sum, kept(softplus(row.logit(j)), Vector::zero())); });
    row_sum[i] = Vector::sum(sum);
  }
}

// The weights of one row, register by register; sums on the way.
template <Weighing kWeighing>
struct WeighRow {
  Row row;
  Reg a, ra;
  const float *b, *rb;
  float* column_weight;
  Reg weight = Vector::zero(), product = Vector::zero();

  template <class Slot>
  WeighRow(const Logits<float>& l, const Weighed<float, Slot>& w, std::int64_t i)
      : row(l, i),
        a(Vector::set(w.a[i])),
        ra(kWeighing == Weighing::robust ? Vector::set(w.ra[i]) : Vector::zero()),
        b(w.b),
        rb(w.rb),
        column_weight(w.column_weight) {}

  Reg value(std::int64_t j) {
    const Reg t = row.logit(j);
    Reg w;
    if constexpr (kWeighing == Weighing::window) w = Vector::mul(exp(t), Vector::add(a, Vector::load(b + j)));
    if constexpr (kWeighing == Weighing::robust) {
      w = Vector::mul(a, exp(Vector::sub(t, ra)));
      w = Vector::fma(Vector::load(b + j), exp(Vector::sub(t, Vector::load(rb + j))), w);
    }
    if constexpr (kWeighing == Weighing::sigmoid) w = Vector::mul(a, sigmoid(t));
    Reg ws = Vector::mul(w, Vector::load(row.s + j));
    if (!row.whole) {
      const Vector::Lanes lanes = row.lanes(j);
      w = Vector::keep(lanes, w, Vector::zero());
      ws = Vector::keep(lanes, ws, Vector::zero());
    }
    weight = Vector::add(weight, w);
    product = Vector::add(product, ws);
    if (column_weight != nullptr) add_to(column_weight, j, row.end, w);
    return w;
  }
};

// fp32: the two layouts of w are one; blocks past the last column do not exist.
template <Weighing kWeighing>
void weigh(const Logits<float>& l, const Weighed<float, float>& w) {
  float* out = w.by_rows;
  for (std::int64_t i = 0; i < l.window.rows; ++i) {
    WeighRow<kWeighing> row(l, w, i);
    for (std::int64_t j = 0; j < l.window.columns; j += kBlock) {
      for (std::int64_t part = 0; part < kBlock; part += Vector::kLanes) {
        const Reg value = row.value(j + part);
        if (out != nullptr) Vector::store(out + j / kBlock * w.rows_stride + i * kBlock + part, value);
      }
    }
    w.row_weight[i] = Vector::sum(row.weight);
    w.row_product[i] = Vector::sum(row.product);
  }
  for (std::int64_t i = l.window.rows; out != nullptr && i % kBlock != 0; ++i) {
    for (std::int64_t j = 0; j < l.window.columns; j += kBlock) {
      for (std::int64_t part = 0; part < kBlock; part += Vector::kLanes) {
        Vector::store(out + j / kBlock * w.rows_stride + i * kBlock + part, Vector::zero());
      }
    }
  }
}

template <class Slot>
constexpr void fill_sums(Kernels<float, Slot>& k) {
  k.exp_sums = exp_sums;
  k.exp_sums_shifted = exp_sums_shifted;
  k.maxima = maxima;
  k.softplus_sums = softplus_sums;
}

constexpr void fill_weighing(Kernels<float, float>& k) {
  k.weigh[static_cast<int>(Weighing::window)] = weigh<Weighing::window>;
  k.weigh[static_cast<int>(Weighing::robust)] = weigh<Weighing::robust>;
  k.weigh[static_cast<int>(Weighing::sigmoid)] = weigh<Weighing::sigmoid>;
}

}  // namespace
}  // namespace lpcm::loss
