// A block of 128 threads on a processor, for running the very kernels of the GPU where there is none.
//
// Threads are fibers. Whatever a warp or a block does together (barriers, shuffles, ldmatrix, mma, groups of copies) is
// done when the last of them has come, by the definition in the PTX manual. Nothing here is fast.
//
// It is stricter than a GPU on purpose: shared memory starts as NaNs, threads can be run in several orders, and copies to
// shared memory land as early or as late as the rules allow. A kernel that lacks a barrier or waits for too few copies
// gives different results under different schedules.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "../loss/reduce.hpp"

namespace lpcm::cuda {

enum class Order { ascending, descending, mixed };  // of threads between two barriers
enum class Copies { early, late };                  // when copies to shared memory land

struct Schedule {
  Order order = Order::ascending;
  Copies copies = Copies::late;
};

class Block;

// What one emulated thread knows itself by; see gpu.cuh for what the calls mean.
class Emulated {
 public:
  Emulated(Block& block, int thread) : block_(block), thread_(thread) {}

  int thread() const { return thread_; }
  std::int64_t block() const;
  std::int64_t blocks() const;
  void sync() { (void)any(false); }
  bool any(bool mine);
  template <class T>
  T shuffle_xor(T value, int bit);
  Scratch& scratch();
  void copy16(int to, const void* from, bool inside);
  void commit_copies();
  template <int kPending>
  void wait_copies() { wait_copies(kPending); }
  void load_matrices(std::uint32_t (&r)[4], int from);
  template <class Format>
  void multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
  void fence_copies() {}
  template <class Format>
  void start_products(float (&c)[2][16][4], int x_base, int y_base);
  void wait_products(float (&c)[2][16][4]);
  void store16(void* to, const std::uint32_t (&v)[4]);
  void store4(void* to, std::uint32_t v) { std::memcpy(to, &v, 4); }
  void atomic_max(float* at, float value) { *at = value > *at ? value : *at; }
  void atomic_max(std::uint64_t* at, std::uint64_t value) { *at = value > *at ? value : *at; }
  void atomic_or(int* at, int value) { *at |= value; }

 private:
  void meet_all(int kind);
  bool early() const;
  struct Copy {
    int to;
    const void* from;
    bool inside;
  };
  void wait_copies(std::size_t pending);
  void land(const Copy&);
  // The 16-bit value at a byte offset from what a descriptor points to, through its 128-byte swizzle.
  std::uint16_t described(std::uint64_t descriptor, int row, int byte) const;

  Block& block_;
  int thread_;
  std::vector<Copy> open_;                // of the group under way
  std::vector<std::vector<Copy>> groups_;  // committed, not landed; late copies only
  std::function<void()> products_;         // started, not waited for
};

class Block {
 public:
  static constexpr int kWarpCount = kThreads / 32;

  Block(std::int64_t index, std::int64_t count, std::size_t stage_bytes, Schedule schedule)
      : index_(index), count_(count), schedule_(schedule), stages_(stage_bytes, 0xff) {
    std::memset(&scratch_, 0xff, sizeof(scratch_));
  }

  // Runs body(machine) in every thread.
  void run(const std::function<void(Emulated&)>& body);

 private:
  friend class Emulated;

  struct Meeting {  // of a warp or of the block
    int arrived = 0;
    std::uint64_t generation = 0;
    int kind = 0;
  };

  // The last of `size` threads to come calls `act`, then all go on.
  void meet(Meeting& meeting, int size, int kind, const std::function<void()>& act);

  std::int64_t index_, count_;
  Schedule schedule_;
  std::vector<unsigned char> stages_;
  Scratch scratch_;
  bool moved_ = false;  // somebody got past a meeting in this round
  Meeting block_meeting_, warp_meetings_[kWarpCount];
  bool any_ = false, any_result_ = false;
  unsigned char in_[kThreads][48], out_[kThreads][16];
};

// wgmma.mma_async.m64n128k16, eight of them: rows 16 warp + lane / 4 (+ 8) of each 64, column 8 j + 2 (lane % 4) + v % 2.
// Early: done when started; late: when waited for.
template <class Format>
void Emulated::start_products(float (&c)[2][16][4], int x_base, int y_base) {
  meet_all(5);  // .sync.aligned
  products_ = [this, &c, x_base, y_base] {
    const int warp = thread_ / 32, lane = thread_ % 32;
    for (int k = 0; k < kDepth / 16; ++k) {
      for (int i = 0; i < 2; ++i) {
        const std::uint64_t x = wgmma_descriptor(static_cast<std::uint32_t>(x_base + i * 64 * kRowBytes + k * 32));
        const std::uint64_t y = wgmma_descriptor(static_cast<std::uint32_t>(y_base + k * 32));
        float rows[2][16];
        for (int half = 0; half < 2; ++half) {
          for (int f = 0; f < 16; ++f) rows[half][f] = Format::widen(described(x, 16 * warp + 8 * half + lane / 4, 2 * f));
        }
        for (int j = 0; j < 16; ++j) {
          for (int e = 0; e < 2; ++e) {
            for (int f = 0; f < 16; ++f) {
              const float b = Format::widen(described(y, 8 * j + 2 * (lane % 4) + e, 2 * f));
              c[i][j][e] += rows[0][f] * b;
              c[i][j][2 + e] += rows[1][f] * b;
            }
          }
        }
      }
    }
  };
  if (early()) {
    products_();
    products_ = nullptr;
  }
}

inline std::int64_t Emulated::block() const { return block_.index_; }
inline std::int64_t Emulated::blocks() const { return block_.count_; }
inline Scratch& Emulated::scratch() { return block_.scratch_; }

template <class T>
T Emulated::shuffle_xor(T value, int bit) {
  static_assert(sizeof(T) <= 16, "one slot");
  Block& b = block_;
  std::memcpy(b.in_[thread_], &value, sizeof(T));
  const int warp = thread_ / 32;
  b.meet(b.warp_meetings_[warp], 32, 1, [&b, warp, bit] {
    for (int lane = 0; lane < 32; ++lane) std::memcpy(b.out_[warp * 32 + lane], b.in_[warp * 32 + (lane ^ bit)], sizeof(T));
  });
  T result;
  std::memcpy(&result, b.out_[thread_], sizeof(T));
  return result;
}

// mma.sync.aligned.m16n8k16.row.col with fp32 accumulators; fragments as in the PTX manual:
//   a: register r holds k = 2 (lane % 4) + 8 (r / 2) and the next, of row lane / 4 + 8 (r % 2)
//   b: register r holds k = 2 (lane % 4) + 8 r and the next, of column lane / 4
//   c: value v is row lane / 4 + 8 (v / 2), column 2 (lane % 4) + v % 2
template <class Format>
void Emulated::multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  Block& block = block_;
  unsigned char* mine = block.in_[thread_];
  std::memcpy(mine, a, 16);
  std::memcpy(mine + 16, b, 8);
  std::memcpy(mine + 24, c, 16);
  const int warp = thread_ / 32;
  block.meet(block.warp_meetings_[warp], 32, 2, [&block, warp] {
    float x[16][16], y[16][8];
    for (int lane = 0; lane < 32; ++lane) {
      const unsigned char* in = block.in_[warp * 32 + lane];
      for (int half = 0; half < 12; ++half) {
        std::uint16_t h;
        std::memcpy(&h, in + 2 * half, 2);
        const int r = half / 2, k = 2 * (lane % 4) + half % 2;
        if (r < 4) {
          x[lane / 4 + 8 * (r % 2)][k + 8 * (r / 2)] = Format::widen(h);
        } else {
          y[k + 8 * (r - 4)][lane / 4] = Format::widen(h);
        }
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      float sum[4];
      std::memcpy(sum, block.in_[warp * 32 + lane] + 24, 16);
      for (int v = 0; v < 4; ++v) {
        for (int k = 0; k < 16; ++k) sum[v] += x[lane / 4 + 8 * (v / 2)][k] * y[k][2 * (lane % 4) + v % 2];
      }
      std::memcpy(block.out_[warp * 32 + lane], sum, 16);
    }
  });
  std::memcpy(c, block.out_[thread_], 16);
}

}  // namespace lpcm::cuda
