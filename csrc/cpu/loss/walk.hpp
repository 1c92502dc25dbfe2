// The walk over the n x m matrix: chunk by chunk, tile by tile, logits never outlive their tile.
#pragma once

#include "engine.hpp"

namespace lpcm::loss {

template <class T, class Slot>
template <class RowsStart, class OnTile, class ChunkDone, class RowsDone>
void Engine<T, Slot>::walk(T constant, RowsStart&& rows_start, OnTile&& on_tile, ChunkDone&& done, RowsDone&& rows_done) {
  for (std::int64_t row = 0; row < n_; row += chunk_rows_) {
    const std::int64_t rows = smaller(chunk_rows_, n_ - row);
    pack_chunk(p_.x, row, rows, x_pack_);
    rows_start(row, rows);
    for (std::int64_t column = 0; column < m_; column += chunk_columns_) {
      const Chunk chunk{row, column, rows, smaller(chunk_columns_, m_ - column)};
      if (p_.self && chunk.column + chunk.columns - 1 <= chunk.row) continue;
      pack_chunk(y(), column, chunk.columns, y_pack_);
      const std::int64_t row_tiles = (rows + kTileRows - 1) / kTileRows;
      const std::int64_t column_tiles = (chunk.columns + kTileColumns - 1) / kTileColumns;
      // neighbours in the order of tasks share the columns, whose operand is the larger one
      parallel_for(p_.threads, row_tiles * column_tiles, [&](std::int64_t index, int worker) {
        const std::int64_t ri = index % row_tiles, ci = index / row_tiles;
        Tile t{};
        t.row = ri * kTileRows;
        t.column = ci * kTileColumns;
        t.rows = smaller(kTileRows, chunk.rows - t.row);
        t.columns = smaller(kTileColumns, chunk.columns - t.column);
        t.matrix_row = chunk.row + t.row;
        t.matrix_column = chunk.column + t.column;
        t.row_out = row_partial_.data() + ci * chunk_rows_ + t.row;
        t.product_out = product_partial_.data() + ci * chunk_rows_ + t.row;
        t.column_out = column_partial_.data() + ri * chunk_columns_ + t.column;
        t.empty = p_.self && t.matrix_column + t.columns - 1 <= t.matrix_row;
        if (!t.empty) {
          Product<T, Slot> product{};
          product.a = {x_pack_.rows + t.row * kBlock, x_pack_.rows_stride, x_pack_.rows_plane};
          product.b = {y_pack_.lanes + t.column / kBlock * y_pack_.lanes_stride, y_pack_.lanes_stride, y_pack_.lanes_plane};
          product.m = round_up(t.rows, kBlock);
          product.blocks = round_up(t.columns, kBlock) / kBlock;
          product.k = width_ / kPer;
          product.c = products(worker);
          product.c_stride = kTileColumns;
          product.measure = measure_;
          product.power = static_cast<T>(p_.power);
          k_.logits(product);
        }
        t.logits = {products(worker), kTileColumns, alpha_, constant, nullptr, nullptr, {t.rows, t.columns, nullptr, nullptr}};
        if (row_term_) {
          t.logits.row_term = row_term_.data() + t.matrix_row;
          t.logits.column_term = column_term_.data() + t.matrix_column;
        }
        fill_window(t, worker);
        on_tile(t);
      });
      done(chunk);
    }
    rows_done(row, rows);
  }
}

// fold(row of the matrix, value) over the column tiles of a chunk, in their order.
template <class T, class Slot>
template <class Fold>
void Engine<T, Slot>::fold_rows(const Chunk& c, const Buffer<T>& partial, Fold&& fold) {
  parallel_ranges(p_.threads, c.rows, kFoldSlice, [&](std::int64_t i, int) {
    for (std::int64_t column = 0, at = i; column < c.columns; column += kTileColumns, at += chunk_rows_) {
      fold(c.row + i, partial.data()[at]);
    }
  });
}

template <class T, class Slot>
template <class Fold>
void Engine<T, Slot>::fold_columns(const Chunk& c, Fold&& fold) {
  parallel_ranges(p_.threads, c.columns, kFoldSlice, [&](std::int64_t j, int) {
    for (std::int64_t row = 0, at = j; row < c.rows; row += kTileRows, at += chunk_columns_) {
      fold(c.column + j, column_partial_.data()[at]);
    }
  });
}

}  // namespace lpcm::loss
