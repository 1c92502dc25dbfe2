// The CUDA kernels on the emulated machine: index maps against the definition of the instructions, the emulation against
// mistakes that it must notice, and whole passes against sums in double, under sanitizers and every schedule.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "../cuda/emulated/schedule.hpp"
#include "../cuda/loss/engine.hpp"

namespace {

using namespace lpcm;
using namespace lpcm::cuda;

int failures = 0;

void check(bool holds, const std::string& claim) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", claim.c_str());
}

// Shared memory has 32 banks of 4 bytes; eight lanes read 16 bytes each at once.
bool without_conflicts(const std::vector<int>& places) {
  std::set<int> banks;
  for (const int place : places) banks.insert(place / 16 % 8);
  return banks.size() == places.size();
}

void test_maps() {
  std::set<int> columns;
  for (int piece = 0; piece < 8; ++piece) {
    for (int place = 0; place < 8; ++place) columns.insert(column_of(piece, place));
  }
  check(columns.size() == 64 && *columns.rbegin() == 63, "every column of a warp has one place in its fragments");
  for (int quad = 0; quad < 4; ++quad) {
    for (int group = 0; group < 8; group += 4) {
      for (int v = 0; v < 8; ++v) {
        check(column_of(group + v / 2, 2 * quad + v % 2) == column_of(group, 2 * quad) + v, "a thread's eight columns are neighbours");
      }
    }
  }
  std::set<int> x_places, y_places;
  for (int row = 0; row < 128; ++row) {
    for (int chunk = 0; chunk < 8; ++chunk) {
      x_places.insert(x_place(row, chunk));
      y_places.insert(y_place(row, chunk));
    }
  }
  check(x_places.size() == 1024 && *x_places.rbegin() == 1023 * 16, "every piece of x has a place of its own in a stage");
  check(y_places.size() == 1024 && *y_places.rbegin() == 1023 * 16, "every piece of y has a place of its own in a stage");
  for (int first = 0; first < kCopyRows; ++first) {
    for (int rows = 0; rows < 128; rows += kCopyRows) {
      for (int chunk = 0; chunk < 8; ++chunk) {
        check(x_place(first + rows, chunk) == x_place_after(x_place(first, chunk), rows), "pieces of x follow from the first");
        check(y_place(first + rows, chunk) == y_place_after(y_place(first, chunk), rows), "pieces of y follow from the first");
      }
      check(y_source(first + rows) == y_source(first) + y_source_after(rows), "columns for wgmma follow from the first");
    }
  }
  for (int matrix = 0; matrix < 4; ++matrix) {
    for (int k = 0; k < 4; ++k) {
      for (int fragment = 0; fragment < 8; fragment += 2) {
        std::vector<int> x, y;
        for (int lane = 8 * matrix; lane < 8 * matrix + 8; ++lane) {
          x.push_back(x_place(x_matrix_row(fragment / 2, lane), 2 * k + x_matrix_chunk(lane)));
          y.push_back(y_place(y_matrix_row(fragment, lane), 2 * k + y_matrix_chunk(lane)));
        }
        check(without_conflicts(x) && without_conflicts(y), "ldmatrix reads eight rows from different banks");
      }
    }
  }
  const Range range{0, 1000, 0, 700, false};
  std::set<std::pair<std::int64_t, std::int64_t>> tiles;
  for (std::int64_t i = 0; i < tile_count(range, 128); ++i) {
    const Tile t = tile_at(range, 128, i);
    check(t.row < 1000 && t.column < 700, "tiles start inside the matrix");
    tiles.insert({t.tile_row, t.tile_column});
  }
  check(tiles.size() == 8 * 6, "every tile is visited once");
}

void test_formats() {
  for (std::uint32_t h = 0; h < 65536; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    if ((h & 0x7c00U) != 0x7c00U) check(Fp16::round(Fp16::widen(half)) == half, "float16 survives widening");
    if ((h & 0x7f80U) != 0x7f80U) check(Bf16::round(Bf16::widen(half)) == half, "bfloat16 survives widening");
  }
  std::mt19937 g(1);
  std::uniform_real_distribution<float> uniform(-16384.0F, 16384.0F);
  for (int i = 0; i < 1000; ++i) {
    const float value = uniform(g);
    float rest = value;
    const float sum = Fp16::widen(split<Fp16>(rest)) + Fp16::widen(split<Fp16>(rest));
    // two parts of 11 bits, the sign of the second being one more; subnormal steps of 2^-24
    check(std::fabs(sum - value) <= std::ldexp(std::fabs(value), -22) + 0x1p-25F, "two float16 parts hold 22 bits");
  }
  float infinite = INFINITY;
  check(std::isinf(Fp16::widen(split<Fp16>(infinite))) && infinite == 0.0F, "an infinity has one part");
  check(std::isnan(Bf16::widen(Bf16::round(NAN))) && std::isnan(Fp16::widen(Fp16::round(NAN))), "a NaN stays one");
}

// The same wrong program under two schedules.
template <class Body>
bool depends_on_schedule(const Body& body, std::size_t stage_bytes) {
  std::vector<float> results[2];
  for (int i = 0; i < 2; ++i) {
    results[i].assign(kThreads, 0.0F);
    Block block(0, 1, stage_bytes, {i == 0 ? Order::ascending : Order::descending, i == 0 ? Copies::early : Copies::late});
    block.run([&](Emulated& m) { results[i][static_cast<std::size_t>(m.thread())] = body(m); });
  }
  return std::memcmp(results[0].data(), results[1].data(), kThreads * sizeof(float)) != 0;
}

void test_emulation_notices() {
  const auto neighbour = [](bool with_barrier) {
    return [with_barrier](Emulated& m) {
      float* const shared = &m.scratch().rows[0][0][0];
      shared[m.thread()] = static_cast<float>(m.thread());
      if (with_barrier) m.sync();
      return shared[(m.thread() + 1) % kThreads];
    };
  };
  check(depends_on_schedule(neighbour(false), 0), "a missing barrier shows");
  check(!depends_on_schedule(neighbour(true), 0), "a barrier that is there does not");
  alignas(16) static const std::uint16_t ones[8] = {0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80};
  const auto copied = [](bool waits) {
    return [waits](Emulated& m) {
      m.copy16(16 * m.thread(), ones, true);
      m.commit_copies();
      if (waits) m.wait_copies<0>(); else m.wait_copies<1>();
      m.sync();
      std::uint32_t r[4];
      m.load_matrices(r, 16 * m.thread());
      return Bf16::widen(static_cast<std::uint16_t>(r[0]));
    };
  };
  check(depends_on_schedule(copied(false), 16 * kThreads), "copies that nobody waited for show");
  check(!depends_on_schedule(copied(true), 16 * kThreads), "copies that were waited for do not");
  bool refused = false;
  try {
    Block(0, 1, 0, {}).run([](Emulated& m) { if (m.thread() != 5) m.sync(); });
  } catch (const std::logic_error&) {
    refused = true;
  }
  check(refused, "a barrier that one thread misses is refused");
}

struct Case {
  std::int64_t n, m, d;
  Arithmetic arithmetic;
  Sum sum;
  bool triangle;
};

// One pass over tiles, folded, against sums in double over what the packed features say.
std::vector<double> run_pass(const Case& c, const Setting& setting, double tolerance, bool compare) {
  const std::int64_t width = round_up(c.d, kDepth);
  const Facts facts = facts_of(c.arithmetic);
  std::mt19937 g(7);
  std::normal_distribution<float> normal;
  const auto features = [&](std::int64_t rows, std::vector<double>& wide) {
    std::vector<std::uint16_t> out(static_cast<std::size_t>(facts.planes * rows * width), 0);
    wide.assign(static_cast<std::size_t>(rows * c.d), 0.0);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t k = 0; k < c.d; ++k) {
        float rest = normal(g) / std::sqrt(static_cast<float>(c.d));
        for (int plane = 0; plane < facts.planes; ++plane) {
          const std::uint16_t part = facts.bf16 ? split<Bf16>(rest) : split<Fp16>(rest);
          out[static_cast<std::size_t>((plane * rows + i) * width + k)] = part;
          wide[static_cast<std::size_t>(i * c.d + k)] += static_cast<double>(facts.bf16 ? Bf16::widen(part) : Fp16::widen(part));
        }
      }
    }
    return out;
  };
  std::vector<double> x, y;
  const std::vector<std::uint16_t> packed_x = features(c.n, x), packed_y = features(c.m, y);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(c.n));
  for (std::int64_t i = 0; i < c.n; ++i) labels[static_cast<std::size_t>(i)] = i * 5 % c.m;

  Scalars scalars{};
  scalars.alpha = 3.0F;
  scalars.constant = 0.5F;
  const Range range{0, c.n, 0, c.m, c.triangle};
  const std::int64_t across = tiles_of(c.m, facts.columns), down = tiles_of(c.n, kTileRows);
  std::vector<float> row_partial(static_cast<std::size_t>(across * c.n), NAN), column_partial(static_cast<std::size_t>(down * c.m), NAN);
  const SumPass pass{{{packed_x.data(), c.n * width}, {packed_y.data(), c.m * width}, width, range, {labels.data(), 0}, &scalars,
                      nullptr, nullptr, nullptr, setting.stages},
                     c.sum, nullptr, nullptr, row_partial.data(), column_partial.data()};
  const auto on = [&](auto config) {
    using C = decltype(config);
    for (std::int64_t b = 0; b < setting.blocks; ++b) {
      Block block(b, setting.blocks, static_cast<std::size_t>(setting.stages) * C::kStageBytes, setting.schedule);
      block.run([&](Emulated& m) {
        if (c.sum == Sum::window) {
          sum_pass<C, Heat::hot>(m, pass);
        } else {
          sum_pass<C, Heat::cold>(m, pass);
        }
      });
    }
  };
  with_config(c.arithmetic, on);
  const double start = c.sum == Sum::maxima ? -1e300 : 0.0;
  std::vector<double> got(static_cast<std::size_t>(c.n + c.m), start);
  Block block(0, 1, 0, setting.schedule);
  block.run([&](Emulated& m) { run(m, Fold{row_partial.data(), range, facts.columns, true, c.sum == Sum::maxima, nullptr, got.data()}); });
  block.run([&](Emulated& m) { run(m, Fold{column_partial.data(), range, facts.columns, false, c.sum == Sum::maxima, nullptr, got.data() + c.n}); });
  if (!compare) return got;

  std::vector<double> want(got.size(), start);
  for (std::int64_t i = 0; i < c.n; ++i) {
    for (std::int64_t j = 0; j < c.m; ++j) {
      if (j == labels[static_cast<std::size_t>(i)] || (c.triangle && j <= i)) continue;
      double s = 0;
      for (std::int64_t k = 0; k < c.d; ++k) s += x[static_cast<std::size_t>(i * c.d + k)] * y[static_cast<std::size_t>(j * c.d + k)];
      const double t = 3.0 * s + 0.5;
      const double value = c.sum == Sum::window ? std::exp2(t) : c.sum == Sum::maxima ? t : std::log1p(std::exp2(t));
      for (double* const at : {&want[static_cast<std::size_t>(i)], &want[static_cast<std::size_t>(c.n + j)]}) {
        *at = c.sum == Sum::maxima ? std::fmax(*at, value) : *at + value;
      }
    }
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool none = c.sum == Sum::maxima && want[i] == start;  // no terms: what stands there is under every logit
    const bool close = none ? got[i] < -1e38 : std::fabs(got[i] - want[i]) <= tolerance * (1 + std::fabs(want[i]));
    check(close, "sum " + std::to_string(static_cast<int>(c.sum)) + " of " + std::to_string(c.n) + " x " + std::to_string(c.m) + " x " +
                     std::to_string(c.d) + " at " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " + std::to_string(want[i]));
  }
  return got;
}

void test_passes() {
  // fp32 sums of exps of fp32 logits of at most about 20 (base 2), over features that are exact here
  constexpr double kTolerance = 1e-5;
  const std::int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {129, 131, 65}, {150, 300, 33}};
  const Setting settings[] = {{{Order::ascending, Copies::late}, 1, 3}, {{Order::descending, Copies::early}, 2, 2}, {{Order::mixed, Copies::late}, 3, 2}};
  for (const auto& s : shapes) {
    for (const Arithmetic a : {Arithmetic::bf16, Arithmetic::fp16, Arithmetic::fp32, Arithmetic::bf16_wgmma, Arithmetic::fp16_wgmma}) {
      for (const Sum sum : {Sum::window, Sum::maxima, Sum::softplus}) {
        for (const bool triangle : {false, true}) {
          const Case c{s[0], triangle ? s[0] : s[1], s[2], a, sum, triangle};
          const std::vector<double> once = run_pass(c, settings[0], kTolerance, true);
          if (sum != Sum::window) continue;
          for (const Setting& other : {settings[1], settings[2]}) {
            const std::vector<double> again = run_pass(c, other, 0.0, false);
            check(std::memcmp(once.data(), again.data(), once.size() * sizeof(double)) == 0, "schedules, stages and blocks do not show in a bit");
          }
        }
      }
    }
  }
}

}  // namespace

int main() {
  test_maps();
  test_formats();
  test_emulation_notices();
  test_passes();
  std::printf("%s\n", failures == 0 ? "ok" : "failed");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
