// From partial sums to log-sum-exps, and the choices that only the device can make because only it knows the numbers.
//
// One shift for the whole matrix lets one exp serve both directions. With bound B >= every logit it is at least
// B - headroom, so that a sum of all terms cannot overflow; afterwards every sum is checked to be large enough that what
// was flushed to zero could not have shown in it. Otherwise the passes with each row's and column's own maximum run, which
// are in the queue already and return at once when nobody needs them: nothing waits for the host.
#pragma once

#include "features.hpp"

namespace lpcm::cuda {

// exp(t) is normal for t in (kLow, kHigh); what is under e^-kDigits of a sum does not show in it.
inline constexpr double kLow = -87.0, kHigh = 88.0, kDigits = 17.4;

struct Shape {
  std::int64_t n, m, d;
  Similarity similarity;
  Objective objective;
  bool prescaled, self;
};

LPCM_HD double logit_bound(const Scalars& s, const Shape& shape) {
  const double scale = fabs(s.scale), x = static_cast<double>(s.norm_x), y = static_cast<double>(s.norm_y);
  if (shape.similarity == Similarity::dot) return scale * x * y;
  return s.scale >= 0 ? 0.0 : scale * (x + y) * (x + y);
}

// No shift where that is safe, else the least one that cannot overflow.
LPCM_HD double window_shift(const Scalars& s, const Shape& shape) {
  const double headroom = kHigh - 1 - log(static_cast<double>(shape.n > shape.m ? shape.n : shape.m));
  const double lowest = s.bias + ceil(logit_bound(s, shape) - headroom);
  return is_finite(lowest) && lowest > s.bias ? lowest : s.bias;
}

LPCM_HD void set_shift(Scalars& s, double shift) {
  s.constant = static_cast<float>((s.bias - shift) * kLog2E);
  s.back = s.bias - static_cast<double>(s.constant) / kLog2E;  // the shift as it was rounded
}

// One thread. Norms and largest elements are there already.
LPCM_HD void derive(Scalars& s, const Shape& shape, const Place& scale, const Place& bias) {
  s.scale = read(scale);
  s.bias = read(bias);
  if (shape.self) {
    s.largest_y = s.largest_x;
    s.norm_y = s.norm_x;
  }
  s.unscale_x = unscale_of(shape.prescaled, s.largest_x);
  s.unscale_y = unscale_of(shape.prescaled, s.largest_y);
  const double factor = shape.similarity == Similarity::sqeuclidean ? 2.0 : 1.0;
  s.alpha = static_cast<float>(factor * s.scale * s.unscale_x * s.unscale_y * kLog2E);
  s.underflow = 0;
  s.weighing = kSigmoid;
  s.threshold = exp(kLow + kDigits + log(static_cast<double>(shape.n > shape.m ? shape.n : shape.m)));
  set_shift(s, shape.objective == Objective::softmax ? window_shift(s, shape) : 0.0);
}

// Squared distances: the part of a logit that belongs to a row or a column alone.
struct DistanceTerms {
  const double* square;
  std::int64_t count;
  const Scalars* scalars;
  float* out;
};

template <class M>
LPCM_BODY void run(M& m, const DistanceTerms& p) {
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < p.count; i += m.blocks() * kThreads) {
    p.out[i] = static_cast<float>(-p.scalars->scale * p.square[i] * kLog2E);
  }
}

struct Fold {
  const float* partial;
  Range range;
  int columns;       // of a tile
  bool by_rows;      // or by columns
  bool largest;      // or the sum
  const int* only_if;
  double* into;      // by matrix row or column; sums are added to it
};

// In the order of the tiles, whatever ran when.
template <class M>
LPCM_BODY void run(M& m, const Fold& f) {
  if (f.only_if != nullptr && *f.only_if == 0) return;
  const Range& r = f.range;
  const std::int64_t count = f.by_rows ? r.rows : r.columns;
  const std::int64_t tiles = f.by_rows ? tiles_of(r.columns, f.columns) : tiles_of(r.rows, kTileRows);
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < count; i += m.blocks() * kThreads) {
    double& into = f.into[(f.by_rows ? r.row : r.column) + i];
    double value = into;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t row = r.row + (f.by_rows ? i / kTileRows : tile) * kTileRows;
      const std::int64_t column = r.column + (f.by_rows ? tile : i / f.columns) * f.columns;
      if (is_empty(r, f.columns, row, column)) continue;  // nobody wrote there
      const auto part = static_cast<double>(f.partial[tile * count + i]);
      value = f.largest ? (part > value ? part : value) : value + part;
    }
    into = value;
  }
}

struct LogSums {
  const double* sums;        // count
  const double* more;        // count: `self` has a share by columns as well; or null
  const double* shift;       // base 2, with each row's own; null for the window
  std::int64_t count;
  Scalars* scalars;
  const int* only_if;
  bool plain;                // the sum is the answer (sigmoid)
  double* out;
};

template <class M>
LPCM_BODY void run(M& m, const LogSums& p) {
  if (p.only_if != nullptr && *p.only_if == 0) return;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < p.count; i += m.blocks() * kThreads) {
    const double sum = p.sums[i] + (p.more != nullptr ? p.more[i] : 0.0);
    if (p.plain) {
      p.out[i] = sum;
    } else if (p.shift != nullptr) {
      p.out[i] = log(sum) + p.shift[i] / kLog2E + p.scalars->back;
    } else {
      // a row or column without terms is taken for one that lost them: slower, and as right
      if (sum < p.scalars->threshold) m.atomic_or(&p.scalars->underflow, 1);
      p.out[i] = log(sum) + p.scalars->back;
    }
  }
}

struct OwnShifts {
  const double* maxima;
  const double* more;  // as above
  std::int64_t count;
  const int* only_if;
  float* shift;        // what the next pass subtracts
  double* rounded;     // the same number
};

template <class M>
LPCM_BODY void run(M& m, const OwnShifts& p) {
  if (*p.only_if == 0) return;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < p.count; i += m.blocks() * kThreads) {
    double best = p.maxima[i];
    if (p.more != nullptr && p.more[i] > best) best = p.more[i];
    const bool some = best > -1e38 && is_finite(best);  // else no terms, or none that an exp could tell apart
    p.shift[i] = some ? static_cast<float>(best) : 0.0F;
    p.rounded[i] = static_cast<double>(p.shift[i]);
  }
}

struct Fill {
  double* out;
  std::int64_t count;
  double value;
  const int* only_if;
};

template <class M>
LPCM_BODY void run(M& m, const Fill& p) {
  if (p.only_if != nullptr && *p.only_if == 0) return;
  for (std::int64_t i = m.block() * kThreads + m.thread(); i < p.count; i += m.blocks() * kThreads) p.out[i] = p.value;
}

// Doubles in the order of unsigned integers, for maxima by atomics; zero is under all of them.
LPCM_HD std::uint64_t ordered(double v) {
  const auto b = bits<std::uint64_t>(v);
  return (b >> 63) != 0 ? ~b : b | (std::uint64_t{1} << 63);
}
LPCM_HD double unordered(std::uint64_t key) {
  return bits<double>((key >> 63) != 0 ? key & ~(std::uint64_t{1} << 63) : ~key);
}

}  // namespace lpcm::cuda
