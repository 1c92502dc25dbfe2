// Eight floats in a ymm register. Only for units compiled with AVX2 and FMA.
// Minimum and maximum hand a NaN in the second place on; that is what keeps NaN alive through exp.
#pragma once

#include <cstdint>
#include <immintrin.h>

namespace lpcm::loss {
namespace {

struct Vector {
  using Reg = __m256;
  static constexpr int kLanes = 8;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg nfma(Reg a, Reg b, Reg c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
  static Reg min(Reg a, Reg b) { return _mm256_min_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static Reg abs(Reg a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
  static Reg round(Reg a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // x * 2^n through the exponent bits, in two steps so that n = 128 overflows as it should. Under `kLowestExp` there is
  // no normal result to build: it is zero.
  static constexpr float kLowestExp = -86.5F;
  static Reg scale(Reg x, Reg n, Reg argument) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(126));
    const Reg power = _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
    const Reg product = mul(mul(x, power), set(2.0F));
    return _mm256_andnot_ps(_mm256_cmp_ps(argument, set(kLowestExp), _CMP_LT_OQ), product);
  }

  // x = m 2^e with m in [3/4, 3/2), for normal x > 0
  static void split(Reg x, Reg& m, Reg& e) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i shifted = _mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f400000));  // 3/4
    const __m256i exponent = _mm256_srai_epi32(shifted, 23);
    m = _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(exponent, 23)));
    e = _mm256_cvtepi32_ps(exponent);
  }

  // test == 0 ? a : b
  static Reg if_zero(Reg test, Reg a, Reg b) { return _mm256_blendv_ps(b, a, _mm256_cmp_ps(test, zero(), _CMP_EQ_OQ)); }
  // test < 0 ? a : b
  static Reg if_negative(Reg test, Reg a, Reg b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(test, zero(), _CMP_LT_OQ));
  }
  static Reg with_sign(Reg magnitude, Reg sign) {
    return _mm256_or_ps(abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0F), sign));
  }

  // lanes of columns j .. j + 7 that lie in [first, end) and are not `hole`
  struct Lanes {
    __m256 mask;
  };
  static Lanes lanes(std::int32_t j, std::int32_t first, std::int32_t end, std::int32_t hole) {
    const __m256i column = _mm256_add_epi32(_mm256_set1_epi32(j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(first), column);
    const __m256i until = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), column);
    const __m256i out = _mm256_or_si256(before, _mm256_cmpeq_epi32(column, _mm256_set1_epi32(hole)));
    return {_mm256_castsi256_ps(_mm256_andnot_si256(out, until))};
  }
  static Reg keep(Lanes l, Reg x, Reg otherwise) { return _mm256_blendv_ps(otherwise, x, l.mask); }

  static float sum(Reg x) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float largest(Reg x) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
};

}  // namespace
}  // namespace lpcm::loss
