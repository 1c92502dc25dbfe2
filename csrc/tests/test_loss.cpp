// Every level that this processor has, and the amx level on emulated tiles, against the formulas in long loops of
// double. Sizes straddle blocks, tiles and chunks. Built with the address and undefined-behaviour sanitizers,
// for which the buffers here end exactly where the promises end.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "lpcm/loss.hpp"

namespace {

using namespace lpcm;
using Vector = std::vector<double>;
using Index = std::size_t;

int failures = 0;

void check(bool holds, const std::string& claim) {
  if (holds) return;
  std::printf("FAIL  %s\n", claim.c_str());
  ++failures;
}

double next_uniform() {  // a small generator of our own: the same numbers everywhere
  static std::uint64_t state = 88172645463325252ULL;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return static_cast<double>(state >> 11) * 0x1p-53;
}

struct Case {
  Index n, m, d;
  Similarity similarity;
  double power;
  Objective objective;
  Directions directions;
  bool self;
  double scale, bias;
};

struct Answer {
  Vector rows, columns, positives, x, y;
  double scale = 0, bias = 0;
};

struct Data {
  std::vector<float> x, y;
  std::vector<std::int64_t> labels;
  Vector row_weights, column_weights, positive_weights;
};

Data make(const Case& c) {
  Data data;
  const auto fill = [](auto& values, Index count) {
    values.resize(count);
    for (auto& v : values) v = static_cast<std::remove_reference_t<decltype(v)>>(2 * next_uniform() - 1);
  };
  fill(data.x, c.n * c.d);
  fill(data.y, c.m * c.d);
  for (Index i = 0; i < c.n; ++i) {
    const Index label = c.self ? (i + c.n / 2) % c.n : static_cast<Index>(next_uniform() * static_cast<double>(c.m));
    data.labels.push_back(static_cast<std::int64_t>(label));
  }
  fill(data.row_weights, c.n);
  fill(data.column_weights, c.directions == Directions::both ? c.m : 0);
  fill(data.positive_weights, c.n);
  return data;
}

double term(double t, const Case& c) {
  switch (c.similarity) {
    case Similarity::sqeuclidean: return t * t;
    case Similarity::l1: return std::abs(t);
    default: return std::pow(std::abs(t), c.power);
  }
}

double slope(double t, const Case& c) {
  if (t == 0) return 0;
  switch (c.similarity) {
    case Similarity::sqeuclidean: return 2 * t;
    case Similarity::l1: return t > 0 ? 1 : -1;
    default: return (t > 0 ? 1 : -1) * c.power * std::pow(std::abs(t), c.power - 1);
  }
}

// The definition, with the whole matrix in memory.
Answer truth(const Case& c, const Data& data) {
  const std::vector<float>& ys = c.self ? data.x : data.y;
  Vector sim(c.n * c.m), s(c.n * c.m), weight(c.n * c.m, 0.0);
  for (Index i = 0; i < c.n; ++i) {
    for (Index j = 0; j < c.m; ++j) {
      double sum = 0;
      for (Index k = 0; k < c.d; ++k) {
        const double a = data.x[i * c.d + k], b = ys[j * c.d + k];
        sum += c.similarity == Similarity::dot ? a * b : -term(a - b, c);
      }
      sim[i * c.m + j] = sum;
      s[i * c.m + j] = c.scale * sum + c.bias;
    }
  }
  const auto left_out = [&](Index i, Index j) { return data.labels[i] == static_cast<std::int64_t>(j) || (c.self && i == j); };
  Answer a;
  const auto log_sum = [&](Index count, auto&& at, auto&& out) {
    double best = -INFINITY, sum = 0;
    for (Index k = 0; k < count; ++k) best = out(k) ? best : std::fmax(best, at(k));
    for (Index k = 0; k < count; ++k) sum += out(k) ? 0 : std::exp(at(k) - best);
    return sum > 0 ? std::log(sum) + best : -INFINITY;
  };
  for (Index i = 0; i < c.n; ++i) {
    a.positives.push_back(s[i * c.m + static_cast<Index>(data.labels[i])]);
    if (c.objective == Objective::sigmoid) {
      double sum = 0;
      for (Index j = 0; j < c.m; ++j) sum += left_out(i, j) ? 0 : std::log1p(std::exp(s[i * c.m + j]));
      a.rows.push_back(sum);
    } else {
      a.rows.push_back(log_sum(c.m, [&](Index j) { return s[i * c.m + j]; }, [&](Index j) { return left_out(i, j); }));
    }
  }
  for (Index j = 0; c.directions == Directions::both && j < c.m; ++j) {
    a.columns.push_back(log_sum(c.n, [&](Index i) { return s[i * c.m + j]; }, [&](Index i) { return left_out(i, j); }));
  }
  for (Index i = 0; i < c.n; ++i) {
    for (Index j = 0; j < c.m; ++j) {
      double& w = weight[i * c.m + j];
      const double t = s[i * c.m + j];
      if (!left_out(i, j)) {
        w = data.row_weights[i] * (c.objective == Objective::sigmoid ? 1 / (1 + std::exp(-t)) : std::exp(t - a.rows[i]));
        if (!a.columns.empty()) w += data.column_weights[j] * std::exp(t - a.columns[j]);
      }
      if (data.labels[i] == static_cast<std::int64_t>(j)) w += data.positive_weights[i];
    }
  }
  a.x.assign(c.n * c.d, 0.0);
  a.y.assign(c.m * c.d, 0.0);
  Vector& y_gradient = c.self ? a.x : a.y;
  for (Index i = 0; i < c.n; ++i) {
    for (Index j = 0; j < c.m; ++j) {
      const double w = weight[i * c.m + j];
      a.scale += w * sim[i * c.m + j];
      a.bias += w;
      for (Index k = 0; k < c.d; ++k) {
        const double u = data.x[i * c.d + k], v = ys[j * c.d + k];
        a.x[i * c.d + k] += w * c.scale * (c.similarity == Similarity::dot ? v : -slope(u - v, c));
        y_gradient[j * c.d + k] += w * c.scale * (c.similarity == Similarity::dot ? u : slope(u - v, c));
      }
    }
  }
  return a;
}

double error(const Vector& got, const Vector& want) {
  double off = 0, size = 0;
  for (Index i = 0; i < want.size(); ++i) {
    if (!std::isfinite(want[i]) && got[i] == want[i]) continue;
    off += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(off) / std::fmax(std::sqrt(size), 1.0);
}

void run(const Case& c, CpuLevel level, Tiles tiles, Precision precision, double tolerance) {
  const Data data = make(c);
  const Answer want = truth(c, data);
  const bool both = c.directions == Directions::both;
  ContrastiveProblem p;
  const auto matrix = [&](const std::vector<float>& values, Index rows) {
    return Matrix{values.data(), Dtype::float32, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(c.d), static_cast<std::int64_t>(c.d), 1};
  };
  p.x = matrix(data.x, c.n);
  p.y = matrix(data.y, c.m);
  p.self = c.self;
  p.scale = c.scale;
  p.bias = c.bias;
  p.objective = c.objective;
  p.directions = c.directions;
  p.similarity = c.similarity;
  p.power = c.power;
  p.precision = precision;
  p.labels = data.labels.data();
  p.level = level;
  p.tiles = tiles;
  p.threads = 2;

  Answer got;
  got.rows.resize(c.n);
  got.columns.resize(both ? c.m : 0);
  got.positives.resize(c.n);
  const ContrastiveStatistics statistics{got.rows.data(), both ? got.columns.data() : nullptr, got.positives.data()};
  contrastive_forward(p, statistics);
  got.x.resize(c.n * c.d);
  got.y.resize(c.self ? 0 : c.m * c.d);
  ContrastiveGradients gradients;
  gradients.x = {got.x.data(), Dtype::float64};
  if (!c.self) gradients.y = {got.y.data(), Dtype::float64};
  gradients.scale = &got.scale;
  gradients.bias = &got.bias;
  // weights where there is a statistic to weigh
  Data used = data;
  for (Index i = 0; i < c.n; ++i) used.row_weights[i] = std::isfinite(want.rows[i]) ? data.row_weights[i] : 0.0;
  contrastive_backward(p, statistics, {used.row_weights.data(), both ? used.column_weights.data() : nullptr, used.positive_weights.data()}, gradients);

  char name[200];
  std::snprintf(name, sizeof(name), "%s, n=%zu m=%zu d=%zu similarity=%d objective=%d directions=%d self=%d: ",
                contrastive_arithmetic(p), c.n, c.m, c.d, static_cast<int>(c.similarity), static_cast<int>(c.objective),
                static_cast<int>(c.directions), c.self ? 1 : 0);
  const auto claim = [&](const char* what, double off) {
    check(off <= tolerance, std::string(name) + what + " is off by " + std::to_string(off));
  };
  claim("rows", error(got.rows, want.rows));
  claim("columns", error(got.columns, want.columns));
  claim("positives", error(got.positives, want.positives));
  claim("x", error(got.x, want.x));
  if (!c.self) claim("y", error(got.y, want.y));
  double terms = 1;  // the scalars' derivatives are sums of terms of both signs
  for (const double w : data.row_weights) terms += std::abs(w);
  claim("scale", std::abs(got.scale - want.scale) / (terms * static_cast<double>(c.objective == Objective::sigmoid ? c.m : 1)));
  claim("bias", std::abs(got.bias - want.bias) / (terms * static_cast<double>(c.objective == Objective::sigmoid ? c.m : 1)));
}

void refuses(const char* claim, void (*spoil)(ContrastiveProblem&)) {
  const std::vector<float> values(12, 1.0F);
  Vector out(4);
  ContrastiveProblem p;
  p.x = p.y = {values.data(), Dtype::float32, 4, 3, 3, 1};
  spoil(p);
  try {
    contrastive_forward(p, {out.data(), out.data(), out.data()});
  } catch (const std::invalid_argument&) {
    return;
  }
  check(false, claim);
}

// A tile reads subnormal features as zeros, like the instruction; logits are then the bias alone. Other levels keep them.
void tiles_take_subnormals_as_zeros() {
  const std::vector<float> x(6, 0x1p-127F), y = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4};
  ContrastiveProblem p;
  p.x = {x.data(), Dtype::float32, 2, 3, 3, 1};
  p.y = {y.data(), Dtype::float32, 4, 3, 3, 1};
  p.scale = 0x1p126;
  p.directions = Directions::rows;
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    p.precision = precision;
    double rows[2], positives[2];
    p.level = CpuLevel::amx;
    p.tiles = Tiles::emulated;
    contrastive_forward(p, {rows, nullptr, positives});
    check(std::abs(rows[0] - std::log(3.0)) < 1e-6, "subnormal features are zeros to a tile");
    p.level = CpuLevel::generic;
    p.tiles = Tiles::hardware;
    contrastive_forward(p, {rows, nullptr, positives});
    const double kept = std::log(std::exp(3.0) + std::exp(4.5) + std::exp(6.0));  // 3 features of 1/2 each, y from 2 to 4
    check(std::abs(rows[0] - kept) < 1e-5, "subnormal features are kept elsewhere");
  }
}

}  // namespace

// test_loss [ROWS]: problems of more rows are left out, for tools that slow everything down.
int main(int argc, char** argv) {
  const Index most = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : static_cast<Index>(-1);
  if (most == 0) {
    std::printf("%s is not a number of rows\n", argv[1]);
    return EXIT_FAILURE;
  }
  const Index shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {15, 17, 16}, {33, 31, 33}, {130, 200, 7}, {1030, 790, 3}};
  const struct {
    Similarity similarity;
    double power;
  } similarities[] = {{Similarity::dot, 2}, {Similarity::sqeuclidean, 2}, {Similarity::l1, 1}, {Similarity::lp, 1.5}, {Similarity::lp, 3}};
  for (const auto& shape : shapes) {
    if (shape[0] > most) continue;
    for (const auto& s : similarities) {
      for (int form = 0; form < 4; ++form) {
        Case c{shape[0], shape[1], shape[2], s.similarity, s.power, form == 2 ? Objective::sigmoid : Objective::softmax,
               form == 0 ? Directions::both : Directions::rows, form == 3, 2.5, -1.0};
        if (c.self) c.n = c.m = c.n + c.n % 2;
        // tolerances: float64 sums in another order; fp32's promise; features rounded by 2^-9, logits of up to 10
        run(c, CpuLevel::generic, Tiles::hardware, Precision::fp64, 1e-11);
        for (const CpuLevel level : cpu_features().available) {
          run(c, level, Tiles::hardware, Precision::fp32, 2e-5);
          run(c, level, Tiles::hardware, Precision::bf16, 4e-2);
        }
        run(c, CpuLevel::amx, Tiles::emulated, Precision::fp32, 2e-5);
        run(c, CpuLevel::amx, Tiles::emulated, Precision::bf16, 4e-2);
      }
    }
  }
  tiles_take_subnormals_as_zeros();
  refuses("an empty batch is refused", [](ContrastiveProblem& p) { p.x.rows = 0; });
  refuses("widths that differ are refused", [](ContrastiveProblem& p) { p.y.columns = 2; });
  refuses("labels past the last column are refused", [](ContrastiveProblem& p) { p.label_offset = 1; });
  refuses("no threads are refused", [](ContrastiveProblem& p) { p.threads = 0; });
  refuses("two directions of the sigmoid are refused", [](ContrastiveProblem& p) { p.objective = Objective::sigmoid; });
  refuses("powers under one are refused", [](ContrastiveProblem& p) { p.similarity = Similarity::lp; p.power = 0.5; });
  std::printf("%s\n", failures == 0 ? "ok" : "failed");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
