// bf16 in plain C++: rounding, widening, and splitting a float into bf16 parts that add up to it.
// Internal linkage on purpose: units compiled for different processors each keep their own copy.
#pragma once

#include <cstdint>
#include <cstring>

namespace lpcm::loss {
namespace {

inline float widen(std::uint16_t h) {
  const std::uint32_t bits = static_cast<std::uint32_t>(h) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// Round to nearest, ties to even; a NaN stays a NaN.
inline std::uint16_t to_bf16(float f) {
  std::uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

// The next part of `rest`, which is left holding what that part did not express. An infinite or NaN value has one part:
// inf - inf would add a NaN to it.
inline std::uint16_t split_bf16(float& rest) {
  const std::uint16_t part = to_bf16(rest);
  const float wide = widen(part);
  rest = (wide - wide == 0.0F) ? rest - wide : 0.0F;
  return part;
}

// Which part of A meets which part of B. Two parts each: three products, error about 2^-16; three parts: six, 2^-23.
struct PlanePair {
  int a, b;
};
inline constexpr PlanePair kPlanePairs[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {2, 0}};
inline constexpr int pair_count(int planes) { return planes == 1 ? 1 : planes == 2 ? 3 : 6; }

}  // namespace
}  // namespace lpcm::loss
