// Sixteen floats in a zmm register. Only for units compiled with AVX-512 F, BW, DQ and VL.
// Minimum and maximum hand a NaN in the second place on; that is what keeps NaN alive through exp.
#pragma once

#include <cstdint>
#include <immintrin.h>

namespace lpcm::loss {
namespace {

struct Vector {
  using Reg = __m512;
  static constexpr int kLanes = 16;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg nfma(Reg a, Reg b, Reg c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
  static Reg min(Reg a, Reg b) { return _mm512_min_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static Reg abs(Reg a) { return _mm512_abs_ps(a); }
  static Reg round(Reg a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // x * 2^n, gradual underflow and overflow included
  static constexpr float kLowestExp = -104.0F;
  static Reg scale(Reg x, Reg n, Reg /*argument*/) { return _mm512_scalef_ps(x, n); }

  // x = m 2^e with m in [3/4, 3/2), for x > 0
  static void split(Reg x, Reg& m, Reg& e) {
    m = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    const __mmask16 halved = _mm512_cmp_ps_mask(m, _mm512_set1_ps(1.0F), _CMP_LT_OQ);
    const Reg exponent = _mm512_getexp_ps(x);
    e = _mm512_mask_add_ps(exponent, halved, exponent, _mm512_set1_ps(1.0F));
  }

  // test == 0 ? a : b
  static Reg if_zero(Reg test, Reg a, Reg b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(test, _mm512_setzero_ps(), _CMP_EQ_OQ), b, a);
  }
  // test < 0 ? a : b
  static Reg if_negative(Reg test, Reg a, Reg b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(test, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
  }
  static Reg with_sign(Reg magnitude, Reg sign) {
    const __m512i bit = _mm512_set1_epi32(INT32_MIN);  // 0xCA: bit ? sign : magnitude
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xCA));
  }

  // lanes of columns j .. j + 15 that lie in [first, end) and are not `hole`
  struct Lanes {
    __mmask16 mask;
  };
  static Lanes lanes(std::int32_t j, std::int32_t first, std::int32_t end, std::int32_t hole) {
    const __m512i column = _mm512_add_epi32(_mm512_set1_epi32(j), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __mmask16 from = _mm512_cmpge_epi32_mask(column, _mm512_set1_epi32(first));
    const __mmask16 until = _mm512_mask_cmplt_epi32_mask(from, column, _mm512_set1_epi32(end));
    return {_mm512_mask_cmpneq_epi32_mask(until, column, _mm512_set1_epi32(hole))};
  }
  static Reg keep(Lanes l, Reg x, Reg otherwise) { return _mm512_mask_blend_ps(l.mask, otherwise, x); }

  static float sum(Reg x) { return _mm512_reduce_add_ps(x); }
  static float largest(Reg x) { return _mm512_reduce_max_ps(x); }
};

}  // namespace
}  // namespace lpcm::loss
