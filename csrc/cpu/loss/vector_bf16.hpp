// Weights of the gradient as pairs of bf16, in both layouts that the two gradient products read.
// Only for units compiled with AVX-512 BF16; include after vector_elementwise.hpp.
#pragma once

#include "bf16.hpp"

namespace lpcm::loss {
namespace {

inline void store_pairs(BfPair* out, __m512i x) { _mm512_storeu_si512(out, x); }

// Lane l of `low` and of `high` side by side.
inline __m512i interleave(__m512bh low_then_high) {
  const __m512i order = _mm512_setr_epi32(0x00100000, 0x00110001, 0x00120002, 0x00130003, 0x00140004, 0x00150005,
                                          0x00160006, 0x00170007, 0x00180008, 0x00190009, 0x001a000a, 0x001b000b,
                                          0x001c000c, 0x001d000d, 0x001e000e, 0x001f000f);
  return _mm512_permutexvar_epi16(order, (__m512i)low_then_high);
}

inline Reg rest_after_rounding(Reg x) {
  const __m512i half = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
  return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(half, 16)));
}

// Two rows by 32 columns at a time: the smallest piece that fills whole slots in both layouts.
template <Weighing kWeighing, int kPlanes>
void weigh_pairs(const Logits<float>& l, const Weighed<float, BfPair>& w) {
  constexpr std::int64_t kStep = 2 * kBlock;
  const std::int64_t rows = (l.window.rows + kStep - 1) / kStep * kStep;
  for (std::int64_t i = 0; i < rows; i += 2) {
    const std::int64_t valid = l.window.rows - i;
    const std::int64_t last = l.window.rows - 1;
    WeighRow<kWeighing> row[2] = {{l, w, valid > 0 ? i : last}, {l, w, valid > 1 ? i + 1 : last}};
    for (std::int64_t j = 0; j < l.window.columns; j += kStep) {
      Reg value[2][2];
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r) {
#pragma GCC unroll 2
        for (int part = 0; part < 2; ++part) {
          const bool inside = r < valid && j + part * kBlock < l.window.columns;
          value[r][part] = inside ? row[r].value(j + part * kBlock) : Vector::zero();
        }
      }
#pragma GCC unroll 2
      for (int plane = 0; plane < kPlanes; ++plane) {
        if (w.by_rows != nullptr) {
          BfPair* out = w.by_rows + plane * w.rows_plane + j / kStep * w.rows_stride + i * kBlock;
          for (int r = 0; r < 2; ++r) store_pairs(out + r * kBlock, (__m512i)_mm512_cvtne2ps_pbh(value[r][1], value[r][0]));
        }
        if (w.by_columns != nullptr) {
          BfPair* out = w.by_columns + plane * w.columns_plane + j / kBlock * w.columns_stride + i / 2 * kBlock;
          for (int part = 0; part < 2; ++part) {
            store_pairs(out + part * w.columns_stride, interleave(_mm512_cvtne2ps_pbh(value[1][part], value[0][part])));
          }
        }
        if (plane + 1 < kPlanes) {
          for (auto& of_row : value) {
            for (Reg& v : of_row) v = rest_after_rounding(v);
          }
        }
      }
    }
    for (int r = 0; r < 2 && r < valid; ++r) {
      w.row_weight[i + r] = Vector::sum(row[r].weight);
      w.row_product[i + r] = Vector::sum(row[r].product);
    }
  }
}

template <int kPlanes>
constexpr void fill_weighing(Kernels<float, BfPair>& k) {
  k.weigh[static_cast<int>(Weighing::window)] = weigh_pairs<Weighing::window, kPlanes>;
  k.weigh[static_cast<int>(Weighing::robust)] = weigh_pairs<Weighing::robust, kPlanes>;
  k.weigh[static_cast<int>(Weighing::sigmoid)] = weigh_pairs<Weighing::sigmoid, kPlanes>;
}

}  // namespace
}  // namespace lpcm::loss
