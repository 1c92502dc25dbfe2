// A real block of 128 threads: what products.hpp asks of a machine, in the instructions of sm_80 and, for the group of four
// warps that multiplies at once, of sm_90a.
#pragma once

#include <cuda_runtime.h>

#include "reduce.hpp"
#include "wgmma.cuh"

namespace lpcm::cuda {

extern __shared__ __align__(1024) unsigned char shared_memory[];

// Shared memory of a pass: the sums, then the stages of the pipeline.
inline constexpr int kScratchBytes = 4096;
static_assert(sizeof(Scratch) <= kScratchBytes, "the sums fit before the stages");

struct Gpu {
  // Read where it is needed: what follows from it would otherwise be kept in registers throughout.
  __device__ __forceinline__ int thread() const {
    int index;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
    return index;
  }
  __device__ __forceinline__ std::int64_t block() const { return blockIdx.x; }
  __device__ __forceinline__ std::int64_t blocks() const { return gridDim.x; }
  __device__ __forceinline__ void sync() { __syncthreads(); }
  __device__ __forceinline__ bool any(bool mine) { return __syncthreads_or(mine ? 1 : 0) != 0; }
  template <class T>
  __device__ __forceinline__ T shuffle_xor(T value, int bit) { return __shfl_xor_sync(0xffffffffU, value, bit); }

  __device__ __forceinline__ Scratch& scratch() { return *reinterpret_cast<Scratch*>(shared_memory); }
  __device__ __forceinline__ static std::uint32_t stage_address(int byte) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory)) + kScratchBytes + static_cast<std::uint32_t>(byte);
  }

  // 16 bytes from global to shared memory, or zeros; the source is not followed then.
  __device__ __forceinline__ void copy16(int to, const void* from, bool inside) {
    const int size = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(stage_address(to)), "l"(__cvta_generic_to_global(from)), "r"(size) : "memory");
  }
  __device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int kPending>
  __device__ __forceinline__ void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory"); }

  __device__ __forceinline__ void load_matrices(std::uint32_t (&r)[4], int from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(stage_address(from))
                 : "memory");
  }
  template <class Format>
  __device__ __forceinline__ void multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

  // Copies that have landed become visible to the instruction that reads shared memory by itself.
  __device__ __forceinline__ void fence_copies() {
#if defined(LPCM_HAS_WGMMA)
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  }
  // c += x y^T for a stage: two times 64 rows, 128 columns, 64 features. Nobody may touch c or the stage until
  // `wait_products`.
  template <class Format>
  __device__ __forceinline__ void start_products(float (&c)[2][16][4], int x_base, int y_base) {
#if defined(LPCM_HAS_WGMMA)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    LPCM_UNROLL
    for (int k = 0; k < kDepth / 16; ++k) {
      LPCM_UNROLL
      for (int i = 0; i < 2; ++i) {
        wgmma<Format>(c[i], wgmma_descriptor(stage_address(x_base + i * 64 * kRowBytes + k * 32)), wgmma_descriptor(stage_address(y_base + k * 32)));
      }
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    (void)c, (void)x_base, (void)y_base;
    __trap();  // the host launches this on compute capability 9.0 only
#endif
  }
  __device__ __forceinline__ void wait_products(float (&c)[2][16][4]) {
#if defined(LPCM_HAS_WGMMA)
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    // the compiler must not read c before this
    LPCM_UNROLL
    for (int i = 0; i < 2; ++i) {
      LPCM_UNROLL
      for (int j = 0; j < 16; ++j) {
        LPCM_UNROLL
        for (int v = 0; v < 4; ++v) asm volatile("" : "+f"(c[i][j][v])::"memory");
      }
    }
#else
    (void)c;
#endif
  }

  __device__ __forceinline__ void store16(void* to, const std::uint32_t (&v)[4]) {
    *static_cast<uint4*>(to) = make_uint4(v[0], v[1], v[2], v[3]);
  }
  __device__ __forceinline__ void store4(void* to, std::uint32_t v) { *static_cast<std::uint32_t*>(to) = v; }

  // Maxima and flags do not depend on who comes first.
  __device__ __forceinline__ void atomic_max(float* at, float value) {  // of numbers that are not negative
    atomicMax(reinterpret_cast<int*>(at), __float_as_int(value));
  }
  __device__ __forceinline__ void atomic_max(std::uint64_t* at, std::uint64_t value) {
    atomicMax(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
  }
  __device__ __forceinline__ void atomic_or(int* at, int value) { atomicOr(at, value); }
};

template <>
__device__ __forceinline__ void Gpu::multiply<Bf16>(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ __forceinline__ void Gpu::multiply<Fp16>(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace lpcm::cuda
