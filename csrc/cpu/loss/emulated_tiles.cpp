// The amx level with its tile registers in memory and its elementwise kernels in plain C++: slow, and true on any
// processor. It exists so that everything about the amx level except its speed can be tested where there is no AMX.
#include <cstring>

#include "generic_kernels.hpp"
#include "tile_products.hpp"

namespace lpcm::loss {
namespace {

struct EmulatedTiles {
  static void configure() {}
  static void release() {}

  template <int kTile>
  static void zero() {
    std::memset(tiles[kTile], 0, sizeof(tiles[kTile]));
  }
  template <int kTile>
  static void load(const void* memory, std::int64_t bytes) {
    for (int row = 0; row < kBlock; ++row) {
      std::memcpy(tiles[kTile][row], static_cast<const char*>(memory) + row * bytes, sizeof(tiles[kTile][row]));
    }
  }
  template <int kTile>
  static void store(void* memory, std::int64_t bytes) {
    for (int row = 0; row < kBlock; ++row) {
      std::memcpy(static_cast<char*>(memory) + row * bytes, tiles[kTile][row], sizeof(tiles[kTile][row]));
    }
  }
  // TDPBF16PS by its definition: pair k of row i of A meets pair k of column j of B; low and high halves are summed from
  // zero, then together, then onto C. Each product is exact in float, so that it need not be fused with its addition.
  template <int kC, int kA, int kB>
  static void multiply() {
    for (int i = 0; i < kBlock; ++i) {
      for (int j = 0; j < kBlock; ++j) {
        float sum, low = 0.0F, high = 0.0F;
        std::memcpy(&sum, &tiles[kC][i][j], 4);
        for (int k = 0; k < kBlock; ++k) {
          const std::uint32_t a = tiles[kA][i][k], b = tiles[kB][k][j];
          low = flushed(low + read(a << 16) * read(b << 16));
          high = flushed(high + read(a & 0xffff0000U) * read(b & 0xffff0000U));
        }
        sum = flushed(flushed(sum) + flushed(low + high));
        std::memcpy(&tiles[kC][i][j], &sum, 4);
      }
    }
  }

  // What the instruction reads or writes for a subnormal is a zero of its sign.
  static float flushed(float f) {
    std::uint32_t bits;
    std::memcpy(&bits, &f, 4);
    return read(bits);
  }
  static float read(std::uint32_t bits) {
    if ((bits & 0x7f800000U) == 0) bits &= 0x80000000U;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }

  static thread_local std::uint32_t tiles[8][kBlock][kBlock];
};

thread_local std::uint32_t EmulatedTiles::tiles[8][kBlock][kBlock];

template <int kPlanes, int kGradientPlanes>
constexpr Kernels<float, BfPair> table(const char* arithmetic) {
  Kernels<float, BfPair> k{};
  k.arithmetic = arithmetic;
  fill_products<EmulatedTiles, kPlanes, kGradientPlanes>(k);
  fill_elementwise<float, BfPair, kGradientPlanes>(k);
  return k;
}

constexpr Kernels<float, BfPair> kBf16 = table<1, 1>("bf16 emulated tiles");
constexpr Kernels<float, BfPair> kFp32 = table<3, 2>("bf16 emulated tiles, 6 and 3 products");

}  // namespace

const Kernels<float, BfPair>& emulated_amx_bf16() { return kBf16; }
const Kernels<float, BfPair>& emulated_amx_fp32() { return kFp32; }

}  // namespace lpcm::loss
