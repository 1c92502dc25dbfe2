// Which kernels carry out a problem at a level. The only place that decides this.
#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine.hpp"

namespace lpcm {
namespace {

using namespace loss;

// Distances have no bf16 products: their terms are differences, and rounding first would lose the small ones.
bool dot_like(Similarity s) { return s == Similarity::dot || s == Similarity::sqeuclidean; }

#if defined(LPCM_X86_LEVELS)
// VDPBF16PS does twice the work of an FMA. AMD issues it as often as an FMA; Intel's server cores at a quarter of that
// rate, so there fp32 products are both faster and better.
bool bf16_dot_pays() { return cpu_features().avx512_bf16 && cpu_features().vendor == "AuthenticAMD"; }
#endif

// Calls use(kernels) with the table for this level and precision.
template <class Use>
auto with_kernels(const ContrastiveProblem& p, Use&& use) {
  const bool bf16 = p.precision == Precision::bf16 && dot_like(p.similarity);
  if (p.precision == Precision::fp64) return use(generic_fp64());
  if (p.level == CpuLevel::amx && p.tiles == Tiles::emulated && dot_like(p.similarity)) {
    return bf16 ? use(emulated_amx_bf16()) : use(emulated_amx_fp32());
  }
  const CpuLevel level = p.tiles == Tiles::emulated ? CpuLevel::generic : p.level;
  switch (level) {
    case CpuLevel::generic:
      return bf16 ? use(generic_bf16()) : use(generic_fp32());
#if defined(LPCM_X86_LEVELS)
    case CpuLevel::avx2: return use(avx2_fp32());
    case CpuLevel::avx512: return bf16 && bf16_dot_pays() ? use(avx512_bf16()) : use(avx512_fp32());
    case CpuLevel::amx:
      if (!dot_like(p.similarity)) return use(avx512_fp32());
      return bf16 ? use(amx_bf16()) : use(amx_fp32());
#else
    default: break;
#endif
  }
  throw std::invalid_argument("this build has no kernels for CPU level '" + std::string(name(level)) + "'");
}

// fp32 products without splitting, for what splitting cannot express.
const Kernels<float, float>& unsplit(const ContrastiveProblem& p) {
#if defined(LPCM_X86_LEVELS)
  if (p.tiles == Tiles::hardware) return avx512_fp32();
#endif
  (void)p;
  return generic_fp32();
}

// Calls use(engine). An infinite feature has no bf16 parts: inf times a part that is zero would be a NaN where fp32 has
// an infinity, so such a problem goes to plain fp32.
template <class Use>
void with_engine(const ContrastiveProblem& problem, Use&& use) {
  check(problem);
  with_kernels(problem, [&]<class T, class Slot>(const Kernels<T, Slot>& kernels) {
    Engine<T, Slot> engine(problem, kernels);
    if constexpr (kPerSlot<Slot> == 2) {
      if (kernels.planes > 1 && !engine.finite()) {
        Engine<float, float> plain(problem, unsplit(problem));
        return use(plain);
      }
    }
    return use(engine);
  });
}

}  // namespace

void contrastive_forward(const ContrastiveProblem& problem, const ContrastiveStatistics& out) {
  with_engine(problem, [&](auto& engine) { engine.forward(out); });
}

void contrastive_backward(const ContrastiveProblem& problem, const ContrastiveStatistics& saved,
                          const ContrastiveWeights& weights, const ContrastiveGradients& out) {
  with_engine(problem, [&](auto& engine) { engine.backward(saved, weights, out); });
}

double contrastive_peak(const ContrastiveProblem& problem, double seconds) {
  check(problem);
  return with_kernels(problem, [&]<class T, class Slot>(const Kernels<T, Slot>& kernels) {
    using Clock = std::chrono::steady_clock;
    const auto rate = [&](std::int64_t rounds) {
      std::vector<double> operations(static_cast<std::size_t>(problem.threads));
      const auto start = Clock::now();
      parallel_for(problem.threads, problem.threads, [&](std::int64_t i, int) {
        operations[static_cast<std::size_t>(i)] = kernels.busy(rounds);
      });
      const double took = std::chrono::duration<double>(Clock::now() - start).count();
      double all = 0;
      for (const double one : operations) all += one;
      return std::pair{all / took, took};
    };
    std::int64_t rounds = 1 << 14;
    auto [best, took] = rate(rounds);
    while (took < seconds / 8 && rounds < (std::int64_t{1} << 40)) std::tie(best, took) = rate(rounds *= 2);
    for (int i = 0; i < 4; ++i) best = std::max(best, rate(rounds).first);  // the best: others may use the machine too
    return best;
  });
}

const char* contrastive_arithmetic(const ContrastiveProblem& problem) {
  return with_kernels(problem, []<class T, class Slot>(const Kernels<T, Slot>& kernels) { return kernels.arithmetic; });
}

}  // namespace lpcm
