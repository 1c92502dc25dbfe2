// The order of things: which kernels run, over which buffers, for a forward pass and for a gradient.
// `L` launches: l(operation, items) runs `run(machine, operation)` on enough blocks for that many items (threads or
// warps); l.sums and l.weigh run a pass over tiles. Nothing here knows whether a GPU does it.
#pragma once

#include "api.hpp"
#include "gradients.hpp"
#include "weigh.hpp"

namespace lpcm::cuda {

struct Facts {
  int planes, columns;
  float weight_scale;
  bool bf16, prescaled;
};

template <class C>
constexpr Facts facts_of_config() {
  using F = typename C::Format;
  return {C::kPlanes, C::kColumns, F::kWeightScale, std::is_same_v<F, Bf16>, F::kPrescaled};
}

// Calls use(configuration).
template <class Use>
auto with_config(Arithmetic a, Use&& use) {
  switch (a) {
    case Arithmetic::bf16: return use(ConfigBf16{});
    case Arithmetic::fp16: return use(ConfigFp16{});
    case Arithmetic::bf16_wgmma: return use(ConfigBf16Wgmma{});
    case Arithmetic::fp16_wgmma: return use(ConfigFp16Wgmma{});
    case Arithmetic::fp32: break;
  }
  return use(ConfigFp32{});
}

inline Facts facts_of(Arithmetic a) {
  return with_config(a, [](auto config) { return facts_of_config<decltype(config)>(); });
}

// The rarer sums have no form for the group instruction; their tiles are the same.
inline Arithmetic of_sum(Arithmetic a, Sum sum) {
  if (sum == Sum::window) return a;
  return a == Arithmetic::bf16_wgmma ? Arithmetic::bf16 : a == Arithmetic::fp16_wgmma ? Arithmetic::fp16 : a;
}

inline std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

// Hands out pieces of one block of memory; with a null block it only counts.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(std::int64_t count) {
    T* const piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += static_cast<std::size_t>(round_up(count * static_cast<std::int64_t>(sizeof(T)), 256));
    return piece;
  }
  std::size_t used() const { return used_; }

 private:
  char* memory_;
  std::size_t used_ = 0;
};

// What both directions need.
struct Common {
  Scalars* scalars;
  double *x_square, *y_square;     // sqeuclidean only
  float *row_term, *column_term;
};

struct Sizes {
  std::int64_t n, m, d, width;
  Facts facts;
  bool distances, softmax, by_columns;  // by_columns: sums over rows of the matrix are needed too
  explicit Sizes(const Call& c)
      : n(c.x.rows), m(c.self ? c.x.rows : c.y.rows), d(c.x.columns), width(round_up(d > 0 ? d : 1, kDepth)),
        facts(facts_of(c.arithmetic)), distances(c.similarity == Similarity::sqeuclidean),
        softmax(c.objective == Objective::softmax), by_columns(c.self || c.directions == Directions::both) {}
  Shape shape(const Call& c) const { return {n, m, d, c.similarity, c.objective, facts.prescaled, c.self}; }
};

inline Common carve_common(Carver& carver, const Call& c, const Sizes& s) {
  Common w{};
  w.scalars = carver.take<Scalars>(1);
  if (!s.distances) return w;
  w.x_square = carver.take<double>(s.n);
  w.y_square = c.self ? w.x_square : carver.take<double>(s.m);
  w.row_term = carver.take<float>(s.n);
  w.column_term = c.self ? w.row_term : carver.take<float>(s.m);
  return w;
}

// Packed features and the numbers that depend on them, but for what is derived from them.
template <class L>
void pack_side(L& l, const Call& c, const Sizes& s, const Matrix& x, std::uint16_t* out, double* square, float* largest, float* norm) {
  if (s.facts.prescaled) l(Measure{x, c.centre, largest}, x.rows * 32);
  with_config(c.arithmetic, [&](auto config) {
    using C = decltype(config);
    Pack<typename C::Format, C::kPlanes> pack{};
    pack.x = x;
    pack.centre = c.centre;
    pack.largest = largest;
    pack.norm = norm;
    pack.square = square;
    pack.out = out;
    pack.width = s.width;
    l(pack, x.rows * 32);
  });
}

template <class L>
void prepare(L& l, const Call& c, const Sizes& s, const Common& w) {
  l.clear(w.scalars, sizeof(Scalars));
  Scalars* const t = w.scalars;
  pack_side(l, c, s, c.x, c.packed_x, w.x_square, &t->largest_x, &t->norm_x);
  if (!c.self) pack_side(l, c, s, c.y, c.packed_y, w.y_square, &t->largest_y, &t->norm_y);
}

template <class L>
void derive_terms(L& l, const Call& c, const Sizes& s, const Common& w, bool gradient) {
  l(Derive{w.scalars, s.shape(c), c.scale, c.bias, gradient}, 1);
  if (!s.distances) return;
  l(DistanceTerms{w.x_square, s.n, w.scalars, w.row_term}, s.n);
  if (!c.self) l(DistanceTerms{w.y_square, s.m, w.scalars, w.column_term}, s.m);
}

inline Products products_of(const Call& c, const Sizes& s, const Common& w, const Range& range) {
  return {{c.packed_x, s.n * s.width}, {c.packed_y, s.m * s.width}, s.width, range, c.positives,
          w.scalars, w.row_term, w.column_term, nullptr, 0};
}

struct ForwardSpace : Common {
  double *rows, *columns;              // sums
  double *own_rows, *own_columns;      // shifts
  float *row_shift, *column_shift;
  float *row_partial, *column_partial;
};

inline ForwardSpace carve_forward(Carver& carver, const Call& c, const Sizes& s, std::int64_t band_rows) {
  ForwardSpace w{};
  static_cast<Common&>(w) = carve_common(carver, c, s);
  const std::int64_t columns = s.by_columns ? s.m : 0;
  w.rows = carver.take<double>(s.n);
  w.columns = carver.take<double>(columns);
  w.own_rows = carver.take<double>(s.n);
  w.own_columns = c.self ? w.own_rows : carver.take<double>(columns);
  w.row_shift = carver.take<float>(s.n);
  w.column_shift = c.self ? w.row_shift : s.by_columns ? carver.take<float>(s.m) : nullptr;
  w.row_partial = carver.take<float>(tiles_of(s.m, s.facts.columns) * band_rows);
  w.column_partial = carver.take<float>(s.by_columns ? band_rows / kTileRows * s.m : 0);
  return w;
}

template <class L>
void run_forward(L& l, const Call& c, std::int64_t band_rows, void* workspace, const ContrastiveStatistics& out) {
  const Sizes s(c);
  Carver carver(workspace);
  const ForwardSpace w = carve_forward(carver, c, s, band_rows);
  const Matrix& y = c.self ? c.x : c.y;
  l(PositiveLogits{c.x, y, c.positives, c.similarity, 2.0, c.scale, c.bias, false, out.positives}, s.n * 32);
  prepare(l, c, s, w);
  derive_terms(l, c, s, w, false);

  const auto all_bands = [&](Sum sum, const int* only_if) {
    const double start = sum == Sum::maxima ? -1.7976931348623157e308 : 0.0;
    l(Fill{w.rows, s.n, start, only_if}, s.n);
    if (s.by_columns) l(Fill{w.columns, s.m, start, only_if}, s.m);
    for (std::int64_t row = 0; row < s.n; row += band_rows) {
      // `self`: nothing counts left of the diagonal; tiles still start where those of other bands do
      const std::int64_t column = c.self ? row / kMaxColumns * kMaxColumns : 0;
      const Range range{row, smaller(band_rows, s.n - row), column, s.m - column, c.self};
      SumPass pass{products_of(c, s, w, range), sum, w.row_shift, w.column_shift, w.row_partial, s.by_columns ? w.column_partial : nullptr};
      pass.products.only_if = only_if;
      l.sums(of_sum(c.arithmetic, sum), pass);
      l(Fold{w.row_partial, range, s.facts.columns, true, sum == Sum::maxima, only_if, w.rows}, range.rows);
      if (s.by_columns) l(Fold{w.column_partial, range, s.facts.columns, false, sum == Sum::maxima, only_if, w.columns}, range.columns);
    }
  };
  const double* const more = c.self ? w.columns : nullptr;
  const auto write = [&](const int* only_if, bool plain) {
    const bool own = only_if != nullptr;
    l(LogSums{w.rows, more, own ? w.own_rows : nullptr, s.n, w.scalars, only_if, plain, out.rows}, s.n);
    if (s.by_columns && !c.self) l(LogSums{w.columns, nullptr, own ? w.own_columns : nullptr, s.m, w.scalars, only_if, plain, out.columns}, s.m);
  };
  all_bands(s.softmax ? Sum::window : Sum::softplus, nullptr);
  write(nullptr, !s.softmax);
  if (!s.softmax) return;
  const int* const underflow = &w.scalars->underflow;
  all_bands(Sum::maxima, underflow);
  l(OwnShifts{w.rows, more, s.n, underflow, w.row_shift, w.own_rows}, s.n);
  if (s.by_columns && !c.self) l(OwnShifts{w.columns, nullptr, s.m, underflow, w.column_shift, w.own_columns}, s.m);
  all_bands(Sum::shifted, underflow);
  write(underflow, false);
}

struct GradientSpace : Common {
  float *a, *b, *ra, *rb;
  double *row_weight, *column_weight, *row_product, *similarities, *parts;
  float *row_weight_partial, *row_product_partial, *column_weight_partial;
};

inline GradientSpace carve_gradient(Carver& carver, const Call& c, const Sizes& s, const Chunk& chunk, const Wanted& wanted) {
  GradientSpace w{};
  static_cast<Common&>(w) = carve_common(carver, c, s);
  const bool weights = s.distances || wanted.bias;
  w.a = carver.take<float>(s.n);
  w.ra = carver.take<float>(s.n);
  w.b = c.self ? w.a : carver.take<float>(s.m);
  w.rb = c.self ? w.ra : carver.take<float>(s.m);
  const std::int64_t row_tiles = chunk.rows / kTileRows, column_tiles = chunk.columns / s.facts.columns;
  if (weights) {
    w.row_weight = carver.take<double>(s.n);
    w.row_weight_partial = carver.take<float>(column_tiles * chunk.rows);
  }
  if (s.distances) {
    w.column_weight = carver.take<double>(s.m);
    w.column_weight_partial = carver.take<float>(row_tiles * chunk.columns);
  }
  if (wanted.scale) {
    w.row_product = carver.take<double>(s.n);
    w.row_product_partial = carver.take<float>(column_tiles * chunk.rows);
    w.similarities = carver.take<double>(s.n);
  }
  w.parts = carver.take<double>(kScalarParts * kScalarBlocks * kWarps);
  return w;
}

template <class L>
void run_begin_gradient(L& l, const Call& c, const Chunk& chunk, const Wanted& wanted, void* workspace,
                        const ContrastiveStatistics& saved, const ContrastiveWeights& weights) {
  const Sizes s(c);
  Carver carver(workspace);
  const GradientSpace w = carve_gradient(carver, c, s, chunk, wanted);
  prepare(l, c, s, w);
  const Side rows{weights.rows, saved.rows, s.n};
  const Side columns = c.directions == Directions::both ? Side{weights.columns, saved.columns, s.m} : Side{nullptr, nullptr, s.m};
  l(Survey{rows, s.softmax, w.scalars}, s.n);
  if (columns.weights != nullptr) l(Survey{columns, s.softmax, w.scalars}, s.m);
  derive_terms(l, c, s, w, true);
  l(Coefficients{rows, w.scalars, s.facts.weight_scale, w.a, w.ra}, s.n);
  if (!c.self) l(Coefficients{columns, w.scalars, s.facts.weight_scale, w.b, w.rb}, s.m);
  if (w.row_weight != nullptr) l(Fill{w.row_weight, s.n, 0.0, nullptr}, s.n);
  if (w.column_weight != nullptr) l(Fill{w.column_weight, s.m, 0.0, nullptr}, s.m);
  if (w.row_product != nullptr) l(Fill{w.row_product, s.n, 0.0, nullptr}, s.n);
}

template <class L>
void run_weigh(L& l, const Call& c, const Chunk& chunk, const Wanted& wanted, void* workspace, const Range& range, std::uint16_t* weights) {
  const Sizes s(c);
  Carver carver(workspace);
  const GradientSpace w = carve_gradient(carver, c, s, chunk, wanted);
  const WeighPass pass{products_of(c, s, w, range), w.a, w.b, w.ra, w.rb, weights, chunk.columns, chunk.rows * chunk.columns,
                       w.row_weight_partial, w.row_product_partial, w.column_weight_partial};
  l.weigh(c.arithmetic, pass);
  const auto fold = [&](const float* partial, bool by_rows, double* into) {
    if (into != nullptr) l(Fold{partial, range, s.facts.columns, by_rows, false, nullptr, into}, by_rows ? range.rows : range.columns);
  };
  fold(w.row_weight_partial, true, w.row_weight);
  fold(w.row_product_partial, true, w.row_product);
  fold(w.column_weight_partial, false, w.column_weight);
}

template <class L>
void run_finish_rows(L& l, const Call& c, const Chunk& chunk, const Wanted& wanted, void* workspace, bool is_x, std::int64_t first,
                     std::int64_t rows, const float* sums, const double* positive_weights, const Inverse& inverse, const GradientMatrix& out) {
  const Sizes s(c);
  Carver carver(workspace);
  const GradientSpace w = carve_gradient(carver, c, s, chunk, wanted);
  const Matrix& y = c.self ? c.x : c.y;
  FinishRows f{};
  f.out = out;
  f.own = is_x ? c.x : y;
  f.other = is_x ? y : c.x;
  f.first = first;
  f.rows = rows;
  f.sums = sums;
  f.width = s.width;
  f.packed = is_x ? c.packed_x : c.packed_y;
  f.planes = s.facts.planes;
  f.bf16 = s.facts.bf16;
  f.weight = is_x ? w.row_weight : w.column_weight;
  f.more = c.self ? w.column_weight : nullptr;
  f.scalars = w.scalars;
  f.similarity = c.similarity;
  f.weight_scale = s.facts.weight_scale;
  f.is_x = is_x;
  f.self = c.self;
  f.positives = c.positives;
  f.positive_weights = positive_weights;
  f.start = inverse.start;
  f.order = inverse.order;
  l(f, rows * 32);
}

template <class L>
void run_finish_scalars(L& l, const Call& c, const Chunk& chunk, const Wanted& wanted, void* workspace, const double* positive_weights,
                        double* scale, double* bias) {
  const Sizes s(c);
  Carver carver(workspace);
  const GradientSpace w = carve_gradient(carver, c, s, chunk, wanted);
  if (wanted.scale) {
    l(PositiveLogits{c.x, c.self ? c.x : c.y, c.positives, c.similarity, 2.0, c.scale, c.bias, true, w.similarities}, s.n * 32);
  }
  const FinishScalars f{w.row_product, w.row_weight, w.column_weight, w.x_square, w.y_square, positive_weights, w.similarities,
                        s.n, s.m, w.scalars, c.similarity, s.facts.weight_scale, w.parts, wanted.scale ? scale : nullptr, wanted.bias ? bias : nullptr};
  l(ScalarParts{f}, kScalarBlocks * kThreads);
  l(f, 1);
}

}  // namespace lpcm::cuda
