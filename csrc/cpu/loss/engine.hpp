// What the parts of the CPU driver share: the problem made concrete, its buffers, and one chunk of logits at a time.
//
// The n x m matrix is walked in chunks of kChunkRows x kChunkColumns; sizes never depend on the number of threads, and
// every sum is folded in the order of chunks and tiles, so results do not depend on it either. Within a chunk, tiles of
// kTileRows x kTileColumns are the unit of parallel work.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "generic_kernels.hpp"
#include "kernels.hpp"
#include "lpcm/loss.hpp"
#include "pack.hpp"
#include "parallel.hpp"

namespace lpcm::loss {

void check(const ContrastiveProblem&);

inline std::int64_t label_of(const ContrastiveProblem& p, std::int64_t row) {
  return p.labels != nullptr ? p.labels[row] : row + p.label_offset;
}

inline constexpr std::int64_t kChunkRows = 2048, kChunkColumns = 768;
inline constexpr std::int64_t kTileRows = 128, kTileColumns = 192;
inline constexpr std::int64_t kTileFeatures = 192;
// Blocks of a layout lie this many rows of slots further apart than they are long. Without it their distance is a large
// power of two, and the caches put the same row of every block into the same few lines.
inline constexpr std::int64_t kSkew = 8;
// Partial sums of fewer rows than this are folded by one thread: waking the others takes longer.
inline constexpr std::int64_t kFoldSlice = 4096;

// Memory aligned to a cache line, left uninitialised: the caller fills it from several threads.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t count) {
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes)));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  T* data() const { return data_.get(); }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
};

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Positives by column: rows of column j are order[start[j]] .. order[start[j + 1] - 1], ascending.
struct Inverse {
  std::vector<std::int64_t> start, order;
  Inverse(const ContrastiveProblem& p, std::int64_t n, std::int64_t m) : start(static_cast<std::size_t>(m) + 1, 0), order(static_cast<std::size_t>(n)) {
    for (std::int64_t i = 0; i < n; ++i) ++start[static_cast<std::size_t>(label_of(p, i)) + 1];
    for (std::size_t j = 1; j < start.size(); ++j) start[j] += start[j - 1];
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    for (std::int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(next[static_cast<std::size_t>(label_of(p, i))]++)] = i;
  }
  std::int64_t count(std::int64_t j) const { return start[static_cast<std::size_t>(j) + 1] - start[static_cast<std::size_t>(j)]; }
};

template <class T, class Slot>
class Engine {
 public:
  Engine(const ContrastiveProblem& problem, const Kernels<T, Slot>& kernels);

  bool finite() const;  // whether every feature is
  void forward(const ContrastiveStatistics& out);
  void backward(const ContrastiveStatistics& saved, const ContrastiveWeights& weights, const ContrastiveGradients& out);

 private:
  static constexpr int kPer = kPerSlot<Slot>;

  struct Chunk {
    std::int64_t row, column;    // where it starts in the matrix
    std::int64_t rows, columns;  // valid ones
  };
  struct Tile {
    std::int64_t row, column;    // where it starts in the chunk
    std::int64_t rows, columns;  // valid ones
    std::int64_t matrix_row, matrix_column;
    T *row_out, *product_out;    // a value a row, folded over the tiles of a chunk afterwards
    T* column_out;               // a value a column
    bool empty;                  // `self`: nothing above the diagonal; logits are not computed
    Logits<T> logits;
  };
  struct Sums {
    std::vector<double> rows, columns;
  };
  struct Coefficients {
    Weighing weighing;
    double unit;  // weights are divided by it before they meet exp, gradients are multiplied by it after
    T constant;
    Buffer<T> a, b, ra, rb;
  };

  const Matrix& y() const { return p_.self ? p_.x : p_.y; }
  bool needs_columns() const { return p_.self || p_.directions == Directions::both; }
  const double* centre() const { return centre_.empty() ? nullptr : centre_.data(); }
  // A feature as the products see it: in bf16 parts where they are. A squared distance is only as small as it should be
  // when its norms are those of what was multiplied.
  static double as_multiplied(double value, int planes) {
    if constexpr (kPer == 1) return static_cast<double>(static_cast<T>(value));
    float rest = static_cast<float>(value);
    double sum = 0;
    for (int plane = 0; plane < planes; ++plane) sum += static_cast<double>(widen(split_bf16(rest)));
    return sum;
  }
  double* scratch(int worker, int which) { return doubles_.data() + (worker * 3 + which) * width_; }

  // engine.cpp
  void measure_sides();
  void pack_chunk(const Matrix& m, std::int64_t first, std::int64_t rows, const Packed<Slot>& out);
  double positive_similarity(std::int64_t row, int worker);
  T* products(int worker) { return products_.data() + worker * kTileRows * kTileColumns; }
  void fill_window(Tile& t, int worker);

  // walk.hpp: for every chunk with its products done, tile(Tile&) in parallel, then done(Chunk) alone
  template <class RowsStart, class OnTile, class ChunkDone, class RowsDone>
  void walk(T constant, RowsStart&& rows_start, OnTile&& tile, ChunkDone&& done, RowsDone&& rows_done);
  template <class Fold>
  void fold_rows(const Chunk& c, const Buffer<T>& partial, Fold&& fold);
  template <class Fold>
  void fold_columns(const Chunk& c, Fold&& fold);

  // forward.cpp
  Sums exp_sums(T constant, const T* row_shift, const T* column_shift);
  Sums maxima(T constant);
  bool underflowed(const Sums& sums, double threshold, const Inverse& inverse) const;
  double lowest_shift() const;
  double window_shift() const;
  bool try_window(double shift, const ContrastiveStatistics& out);
  void robust_statistics(const ContrastiveStatistics& out);
  void sigmoid_statistics(const ContrastiveStatistics& out);

  // backward.cpp
  Coefficients coefficients(const ContrastiveStatistics& saved, const ContrastiveWeights& weights) const;
  void add_positive(double weight, const double* own, const double* other, double* gradient) const;
  struct Side {  // whose gradient is written: one tower, its partner, and what of the positives belongs to it
    const Matrix& own;
    const Matrix& other;
    bool is_x;
  };
  void write_gradient(const GradientMatrix& out, const Side& side, std::int64_t first, std::int64_t rows, const T* sums,
                      const std::vector<double>& weights, double unit, const double* positive_weights,
                      const Inverse& inverse);

  const ContrastiveProblem& p_;
  const Kernels<T, Slot>& k_;
  std::int64_t n_, m_, d_;
  std::int64_t width_;                // features, padded to whole blocks of slots
  std::int64_t chunk_rows_, chunk_columns_;
  Measure measure_;
  T alpha_;                           // factor of what the products give
  std::vector<double> centre_;        // sqeuclidean: distances do not change when both sides move
  std::vector<double> x_square_, y_square_;  // sqeuclidean: squared norms about the centre
  Buffer<T> row_term_, column_term_;  // sqeuclidean
  double bound_ = 0;                  // no finite logit is above it
  Packed<Slot> x_pack_, y_pack_;
  Buffer<Slot> x_rows_, y_lanes_;
  Buffer<T> products_, pack_scratch_, row_partial_, product_partial_, column_partial_;
  Buffer<std::uint16_t> pack_halves_;
  Buffer<std::int32_t> windows_;
  Buffer<double> doubles_;
};

}  // namespace lpcm::loss
