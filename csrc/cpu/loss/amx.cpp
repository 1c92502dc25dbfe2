// The amx level: products on bf16 tiles, elementwise work in AVX-512.
#include "vector_avx512.hpp"
// written in terms of `Vector`, so after it
#include "vector_math.hpp"
#include "vector_elementwise.hpp"
#include "vector_bf16.hpp"
#include "tile_products.hpp"

namespace lpcm::loss {
namespace {

struct HardwareTiles {
  // Tile configuration belongs to the thread, and other libraries set theirs: it is loaded for every product.
  static void configure() {
    struct alignas(64) Configuration {
      std::uint8_t palette = 1, start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } configuration;
    // gcc believes that the instruction reads eight of these bytes and drops stores to the others; this keeps them
    __asm__ volatile("" : : "r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
  static void release() { _tile_release(); }

  // Written in assembly because gcc's intrinsics are macros that take a literal tile number, never a template's argument.
  template <int kTile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  static void load(const void* memory, std::int64_t bytes) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(memory), "r"(bytes), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void store(void* memory, std::int64_t bytes) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(memory), "r"(bytes), "i"(kTile) : "memory");
  }
  template <int kC, int kA, int kB>
  static void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
};

template <int kPlanes, int kGradientPlanes>
constexpr Kernels<float, BfPair> table(const char* arithmetic) {
  Kernels<float, BfPair> k{};
  k.arithmetic = arithmetic;
  fill_products<HardwareTiles, kPlanes, kGradientPlanes>(k);
  fill_sums(k);
  fill_weighing<kGradientPlanes>(k);
  return k;
}

constexpr Kernels<float, BfPair> kBf16 = table<1, 1>("bf16 tiles, amx");
constexpr Kernels<float, BfPair> kFp32 = table<3, 2>("bf16 tiles, 6 and 3 products, amx");

}  // namespace

const Kernels<float, BfPair>& amx_bf16() { return kBf16; }
const Kernels<float, BfPair>& amx_fp32() { return kFp32; }

}  // namespace lpcm::loss
