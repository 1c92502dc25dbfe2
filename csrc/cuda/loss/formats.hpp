// The 16-bit formats that tensor cores multiply, and the float functions of the elementwise part; on host and device.
// Refuses to know about tiles. The host versions exist so that whole kernels can be run by the tests on a processor.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define LPCM_HD __host__ __device__ __forceinline__
#define LPCM_BODY __device__ __forceinline__  // what calls the machine, see products.hpp
#define LPCM_UNROLL _Pragma("unroll")
#else
#define LPCM_HD inline
#define LPCM_BODY inline
#define LPCM_UNROLL
#endif

namespace lpcm::cuda {

template <class To, class From>
LPCM_HD To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same number of bits");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// bfloat16: float's range, 8 bits. Weights of the gradient keep their relative precision however small they are.
struct Bf16 {
  static constexpr bool kPrescaled = false;
  static constexpr float kWeightScale = 1.0F;
  LPCM_HD static float widen(std::uint16_t h) { return bits<float>(static_cast<std::uint32_t>(h) << 16); }
  LPCM_HD static std::uint16_t round(float f) {
#if defined(__CUDA_ARCH__)
    return __bfloat16_as_ushort(__float2bfloat16_rn(f));
#else
    const auto b = bits<std::uint32_t>(f);
    if ((b & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((b >> 16) | 0x40U);
    return static_cast<std::uint16_t>((b + 0x7fffU + ((b >> 16) & 1U)) >> 16);
#endif
  }
};

// float16: 11 bits, but a narrow range. Features are multiplied by a power of two that brings the largest one to
// 2^13 .. 2^14, and the gradient's weights, which are at most 2, by 2^14: the least step is then 2^-39 of the largest.
struct Fp16 {
  static constexpr bool kPrescaled = true;
  static constexpr float kWeightScale = 16384.0F;
  LPCM_HD static float widen(std::uint16_t h) {
#if defined(__CUDA_ARCH__)
    return __half2float(__ushort_as_half(h));
#else
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000U) << 16, exponent = (h >> 10) & 0x1fU, fraction = h & 0x3ffU;
    if (exponent == 0) {
      const float magnitude = static_cast<float>(fraction) * 5.9604644775390625e-8F;  // 2^-24
      return sign != 0 ? -magnitude : magnitude;
    }
    return bits<float>(sign | ((exponent == 31 ? 255U : exponent + 112U) << 23) | (fraction << 13));
#endif
  }
  LPCM_HD static std::uint16_t round(float f) {
#if defined(__CUDA_ARCH__)
    return __half_as_ushort(__float2half_rn(f));
#else
    const auto b = bits<std::uint32_t>(f);
    const std::uint32_t sign = (b >> 16) & 0x8000U, magnitude = b & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
    if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // rounds to 65536 or more
    if (magnitude < 0x38800000U) {  // below 2^-14: a multiple of 2^-24
      return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(bits<float>(magnitude) * 16777216.0F)));
    }
    return static_cast<std::uint16_t>(sign | ((magnitude + 0xfffU + ((magnitude >> 13) & 1U) - 0x38000000U) >> 13));
#endif
  }
};

// The next 16-bit part of `rest`, which keeps what that part did not express. What is not finite has one part: inf - inf
// would add a NaN.
template <class Format>
LPCM_HD std::uint16_t split(float& rest) {
  const std::uint16_t part = Format::round(rest);
  const float wide = Format::widen(part);
  rest = wide - wide == 0.0F ? rest - wide : 0.0F;
  return part;
}

LPCM_HD float exp2_fast(float t) {  // relative error 2^-22; what is under 2^-126 is zero
#if defined(__CUDA_ARCH__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(t));
  return result;
#else
  const float result = std::exp2(t);
  return result < 1.1754943508222875e-38F ? 0.0F : result;
#endif
}

inline constexpr float kLn2 = 0.693147180559945309F;
inline constexpr double kLog2E = 1.44269504088896340736;

// log(1 + exp(t)) of a logit given in base 2. log1p keeps the digits of exp(t) when t is far below zero.
LPCM_HD float softplus_base2(float t) {
  const float e = exp2_fast(-fabsf(t));
  const float positive = t > 0 ? t : t < 0 ? 0.0F : t;  // a NaN stays
  return positive * kLn2 + log1pf(e);
}

LPCM_HD float sigmoid_base2(float t) {
  const float e = exp2_fast(-fabsf(t));
  return (t < 0 ? e : 1.0F) / (1.0F + e);
}

}  // namespace lpcm::cuda
