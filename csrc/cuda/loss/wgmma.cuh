// wgmma.mma_async.m64n128k16: four warps multiply 64 rows with 128 columns, both read from shared memory by descriptors.
// Value c[j][v] of a thread is register 4 j + v of the instruction.
#pragma once

#include "tiles.hpp"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LPCM_HAS_WGMMA

namespace lpcm::cuda {

// 64 sums, two descriptors, "add to the sums", no sign changes, both operands by rows of features.
#define LPCM_WGMMA_OPERANDS \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, " \
  "%64, %65, add, 1, 1, 0, 0;}"
#define LPCM_WGMMA_SUMS(c) \
  "+f"((c)[0][0]), "+f"((c)[0][1]), "+f"((c)[0][2]), "+f"((c)[0][3]), \
  "+f"((c)[1][0]), "+f"((c)[1][1]), "+f"((c)[1][2]), "+f"((c)[1][3]), \
  "+f"((c)[2][0]), "+f"((c)[2][1]), "+f"((c)[2][2]), "+f"((c)[2][3]), \
  "+f"((c)[3][0]), "+f"((c)[3][1]), "+f"((c)[3][2]), "+f"((c)[3][3]), \
  "+f"((c)[4][0]), "+f"((c)[4][1]), "+f"((c)[4][2]), "+f"((c)[4][3]), \
  "+f"((c)[5][0]), "+f"((c)[5][1]), "+f"((c)[5][2]), "+f"((c)[5][3]), \
  "+f"((c)[6][0]), "+f"((c)[6][1]), "+f"((c)[6][2]), "+f"((c)[6][3]), \
  "+f"((c)[7][0]), "+f"((c)[7][1]), "+f"((c)[7][2]), "+f"((c)[7][3]), \
  "+f"((c)[8][0]), "+f"((c)[8][1]), "+f"((c)[8][2]), "+f"((c)[8][3]), \
  "+f"((c)[9][0]), "+f"((c)[9][1]), "+f"((c)[9][2]), "+f"((c)[9][3]), \
  "+f"((c)[10][0]), "+f"((c)[10][1]), "+f"((c)[10][2]), "+f"((c)[10][3]), \
  "+f"((c)[11][0]), "+f"((c)[11][1]), "+f"((c)[11][2]), "+f"((c)[11][3]), \
  "+f"((c)[12][0]), "+f"((c)[12][1]), "+f"((c)[12][2]), "+f"((c)[12][3]), \
  "+f"((c)[13][0]), "+f"((c)[13][1]), "+f"((c)[13][2]), "+f"((c)[13][3]), \
  "+f"((c)[14][0]), "+f"((c)[14][1]), "+f"((c)[14][2]), "+f"((c)[14][3]), \
  "+f"((c)[15][0]), "+f"((c)[15][1]), "+f"((c)[15][2]), "+f"((c)[15][3])

template <class Format>
__device__ __forceinline__ void wgmma(float (&c)[16][4], std::uint64_t x, std::uint64_t y);

template <>
__device__ __forceinline__ void wgmma<Bf16>(float (&c)[16][4], std::uint64_t x, std::uint64_t y) {
  asm volatile("{.reg .pred add; setp.ne.b32 add, 1, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " LPCM_WGMMA_OPERANDS : LPCM_WGMMA_SUMS(c) : "l"(x), "l"(y) : "memory");
}
template <>
__device__ __forceinline__ void wgmma<Fp16>(float (&c)[16][4], std::uint64_t x, std::uint64_t y) {
  asm volatile("{.reg .pred add; setp.ne.b32 add, 1, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " LPCM_WGMMA_OPERANDS : LPCM_WGMMA_SUMS(c) : "l"(x), "l"(y) : "memory");
}

#undef LPCM_WGMMA_OPERANDS
#undef LPCM_WGMMA_SUMS

}  // namespace lpcm::cuda
#endif
