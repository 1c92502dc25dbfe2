// Matrix products on 16 x 16 tiles, written once for tile registers and for their emulation.
//
// `Tiles` is a set of eight tile registers, numbered at compile time as the instructions demand:
//   zero<t>()   load<t>(memory, bytes between rows)   store<t>(memory, bytes)   multiply<c, a, b>()   c += a b
// A tile of A holds 16 rows of 16 pairs, one of B 16 pairs of rows by 16 columns: one kilobyte each, and contiguous in
// both layouts of kernels.hpp. Four sums (0-3), two of A (4, 5) and two of B (6, 7): four products for four loads.
#pragma once

#include <cstdint>

#include "bf16.hpp"
#include "kernels.hpp"

namespace lpcm::loss {
namespace {

inline constexpr std::int64_t kTileBytes = 64;  // between the rows of a packed tile

// Sums of kA x kB tiles over all of K and all pairs of planes; left in registers 0-3.
template <class Tiles, int kA, int kB, int kPlanes>
void accumulate_tiles(const BfPair* a, std::int64_t a_step, std::int64_t a_next, std::int64_t a_plane, const BfPair* b,
                      std::int64_t b_step, std::int64_t b_next, std::int64_t b_plane, std::int64_t steps) {
  for (int pair = 0; pair < pair_count(kPlanes); ++pair) {
    const BfPair* ap = a + kPlanePairs[pair].a * a_plane;
    const BfPair* bp = b + kPlanePairs[pair].b * b_plane;
    for (std::int64_t step = 0; step < steps; ++step, ap += a_step, bp += b_step) {
      Tiles::template load<4>(ap, kTileBytes);
      Tiles::template load<6>(bp, kTileBytes);
      Tiles::template multiply<0, 4, 6>();
      if constexpr (kB == 2) {
        Tiles::template load<7>(bp + b_next, kTileBytes);
        Tiles::template multiply<1, 4, 7>();
      }
      if constexpr (kA == 2) {
        Tiles::template load<5>(ap + a_next, kTileBytes);
        Tiles::template multiply<2, 5, 6>();
        if constexpr (kB == 2) Tiles::template multiply<3, 5, 7>();
      }
    }
  }
}

template <class Tiles, int kA, int kB>
void load_sums(const float* c, std::int64_t stride, bool accumulate) {
  if (!accumulate) {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
    return;
  }
  const std::int64_t bytes = stride * 4;
  Tiles::template load<0>(c, bytes);
  if constexpr (kB == 2) Tiles::template load<1>(c + kBlock, bytes);
  if constexpr (kA == 2) Tiles::template load<2>(c + kBlock * stride, bytes);
  if constexpr (kA == 2 && kB == 2) Tiles::template load<3>(c + kBlock * stride + kBlock, bytes);
}

template <class Tiles, int kA, int kB>
void store_sums(float* c, std::int64_t stride) {
  const std::int64_t bytes = stride * 4;
  Tiles::template store<0>(c, bytes);
  if constexpr (kB == 2) Tiles::template store<1>(c + kBlock, bytes);
  if constexpr (kA == 2) Tiles::template store<2>(c + kBlock * stride, bytes);
  if constexpr (kA == 2 && kB == 2) Tiles::template store<3>(c + kBlock * stride + kBlock, bytes);
}

// C = or += A B, A in rows layout, B in lanes layout.
template <class Tiles, int kPlanes>
void tile_product(const Product<float, BfPair>& p) {
  Tiles::configure();
  const auto piece = [&]<int kA, int kB>(std::int64_t i, std::int64_t block) {
    float* c = p.c + i * p.c_stride + block * kBlock;
    load_sums<Tiles, kA, kB>(c, p.c_stride, p.accumulate);
    accumulate_tiles<Tiles, kA, kB, kPlanes>(p.a.data + i * kBlock, p.a.stride, kBlock * kBlock, p.a.plane,
                                             p.b.data + block * p.b.stride, kBlock * kBlock, p.b.stride, p.b.plane,
                                             p.k / kBlock);
    store_sums<Tiles, kA, kB>(c, p.c_stride);
  };
  for (std::int64_t block = 0; block < p.blocks; block += 2) {
    for (std::int64_t i = 0; i < p.m; i += 2 * kBlock) {
      const bool two_a = i + kBlock < p.m, two_b = block + 1 < p.blocks;
      if (two_a && two_b) piece.template operator()<2, 2>(i, block);
      if (two_a && !two_b) piece.template operator()<2, 1>(i, block);
      if (!two_a && two_b) piece.template operator()<1, 2>(i, block);
      if (!two_a && !two_b) piece.template operator()<1, 1>(i, block);
    }
  }
  Tiles::release();
}

// C += w^T features. w in lanes layout is already a right-hand tile (pairs of rows by columns), so the product is formed
// the other way round, features^T w, and each finished tile is transposed as it is added: once in all of K.
template <class Tiles, int kPlanes>
void tile_product_transposed(const Product<float, BfPair>& p) {
  Tiles::configure();
  const std::int64_t features = p.blocks;
  alignas(64) float sums[4 * kBlock * kBlock];
  const auto piece = [&]<int kA, int kB>(std::int64_t feature, std::int64_t j) {
    load_sums<Tiles, kA, kB>(nullptr, 0, false);
    accumulate_tiles<Tiles, kA, kB, kPlanes>(p.b.data + feature * kBlock * kBlock, p.b.stride, kBlock * kBlock, p.b.plane,
                                             p.a.data + j * p.a.stride, kBlock * kBlock, p.a.stride, p.a.plane, p.k / kBlock);
    store_sums<Tiles, kA, kB>(sums, 2 * kBlock);
    for (std::int64_t row = 0; row < kB * kBlock; ++row) {
      float* c = p.c + (j * kBlock + row) * p.c_stride + feature * kBlock;
      for (std::int64_t f = 0; f < kA * kBlock; ++f) {
        const float sum = sums[f * 2 * kBlock + row];
        c[f] = p.accumulate ? c[f] + sum : sum;
      }
    }
  };
  for (std::int64_t feature = 0; feature < features; feature += 2) {
    for (std::int64_t j = 0; j < p.m / kBlock; j += 2) {
      const bool two_a = feature + 1 < features, two_b = j + 1 < p.m / kBlock;
      if (two_a && two_b) piece.template operator()<2, 2>(feature, j);
      if (two_a && !two_b) piece.template operator()<2, 1>(feature, j);
      if (!two_a && two_b) piece.template operator()<1, 2>(feature, j);
      if (!two_a && !two_b) piece.template operator()<1, 1>(feature, j);
    }
  }
  Tiles::release();
}

template <class Tiles>
double tile_busy(std::int64_t rounds) {
  Tiles::configure();
  alignas(64) const BfPair zeros[kBlock * kBlock] = {};
  Tiles::template load<4>(zeros, kTileBytes);
  Tiles::template load<6>(zeros, kTileBytes);
  load_sums<Tiles, 2, 2>(nullptr, 0, false);
  for (std::int64_t round = 0; round < rounds; ++round) {
    Tiles::template multiply<0, 4, 6>();
    Tiles::template multiply<1, 4, 6>();
    Tiles::template multiply<2, 4, 6>();
    Tiles::template multiply<3, 4, 6>();
  }
  Tiles::release();
  return static_cast<double>(rounds) * 4 * kBlock * kBlock * kBlock * 4;
}

// bf16: one part everywhere. fp32-grade: three parts (six products) for the logits, whose error an exponential magnifies,
// two parts (three products) for the gradients.
template <class Tiles, int kPlanes, int kGradientPlanes>
constexpr void fill_products(Kernels<float, BfPair>& k) {
  k.planes = kPlanes;
  k.gradient_planes = kGradientPlanes;
  k.features = FeatureLayout::rows;
  k.logits = tile_product<Tiles, kPlanes>;
  k.product_rows = tile_product<Tiles, kGradientPlanes>;
  k.product_columns = tile_product_transposed<Tiles, kGradientPlanes>;
  k.busy = tile_busy<Tiles>;
}

}  // namespace
}  // namespace lpcm::loss
