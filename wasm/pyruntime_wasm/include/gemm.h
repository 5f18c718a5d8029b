// f32 matrix multiplication: tiles of up to 6 rows and 8 columns, or 2 and 16, that structured kernels share.
//
// The left matrix is given by a pointer per row and a list of taps: element (i, t * depth + j) is
// rows[i][taps[t] + j]. So one tile serves plain matrices (one tap) and convolutions (a tap for each row
// of the filter, or each of its pixels) without copying patches. The right matrix lies in panels of 8
// columns, [panel][k][8], or, in the `direct` forms, anywhere with unit stride along its columns.

#pragma once
#include "simd.h"

#define GEMM_DEPTH 512  // products that a tile sums in one call: its panel's part, 16 KiB, stays in L1

// From one row that `gemm_gather` copied to the next
#define GEMM_GATHERED (GEMM_DEPTH + 16)

// Rows of a whole tile. With fused multiply-adds the sums of 6 rows, two vectors of b and one of a take 15 of
// the 16 registers that x86 has; products that are rounded apart from their sum need one more.
#ifdef __wasm_relaxed_simd__
#define GEMM_ROWS 6
#else
#define GEMM_ROWS 4
#endif

// Whether the host said, by the export `tune`, that loads to all lanes are slow: Cranelift makes three instructions of
// one, where V8 and others need no more than the machine's own. Whole tiles are GEMM_TILE_APART then.
extern int32_t slow_splats;

typedef struct {
  const float *const *rows;
  int32_t row_count;
  const int32_t *taps;
  int32_t tap_count, depth;
  const float *b;
  int32_t b_row, b_panel;  // from one k to the next (8 in panels), from one 8 columns to the next
  int32_t panel_count;
  float *c;  // [row_count][c_row], whole panels
  int32_t c_row;
  int32_t add;  // whether c's present values stay part of the sums
  int32_t undivided;  // sum over the depth at once: for so few rows that no panel is read again
} Gemm;

// Add to sum[PHASES][ROWS][2 * PANELS] the products over taps and depth of ROWS rows and 8 * PANELS columns. PHASES
// sums over alternate k, and several panels, keep the pipeline of the multiplier full where rows are few. Four k's, in
// whole tiles eight, share the additions to pointers, which else take more slots than a processor has left (half of all
// where a sibling thread is busy). The tests between them end odd depths, and keep compilers from holding the factors of several
// k's at once, for which registers do not suffice.
#define GEMM_SUM(ROWS, PANELS, PHASES, B_ROW, B_PANEL)                                                \
  do {                                                                                                \
    const float *a[ROWS], *p[PANELS];                                                                 \
    int32_t tap = first + *taps++, k = depth;                                                         \
    for (int i = 0; i < ROWS; i++) a[i] = rows[i] + tap;                                              \
    for (int q = 0; q < PANELS; q++) p[q] = b + q * (B_PANEL);                                        \
    b += k * (B_ROW);                                                                                 \
    if (k > 0)                                                                                        \
      for (;;) {                                                                                      \
        GEMM_FOUR(ROWS, PANELS, PHASES, 0, B_ROW)                                                     \
        if ((ROWS) == GEMM_ROWS) {                                                                    \
          if (k == 4) break;                                                                          \
          GEMM_FOUR(ROWS, PANELS, PHASES, 4, B_ROW)                                                   \
        }                                                                                             \
        if ((k -= GEMM_STEPS(ROWS)) == 0) break;                                                      \
        for (int i = 0; i < ROWS; i++) a[i] += GEMM_STEPS(ROWS);                                      \
        for (int q = 0; q < PANELS; q++) p[q] += GEMM_STEPS(ROWS) * (B_ROW);                          \
      }                                                                                               \
  } while (--tap_count)
#define GEMM_STEPS(ROWS) ((ROWS) == GEMM_ROWS ? 8 : 4)
#define GEMM_FOUR(ROWS, PANELS, PHASES, K, B_ROW)                                                     \
  GEMM_STEP(ROWS, PANELS, 0, K, B_ROW, GEMM_LOADED)                                                   \
  if (k == K + 1) break;                                                                              \
  GEMM_STEP(ROWS, PANELS, 1 % (PHASES), K + 1, B_ROW, GEMM_LOADED)                                    \
  if (k == K + 2) break;                                                                              \
  GEMM_STEP(ROWS, PANELS, 2 % (PHASES), K + 2, B_ROW, GEMM_LOADED)                                    \
  if (k == K + 3) break;                                                                              \
  GEMM_STEP(ROWS, PANELS, 3 % (PHASES), K + 3, B_ROW, GEMM_LOADED)
#define GEMM_LOADED(I, K) f32x4_load_splat(a[I] + (K))
#define GEMM_STEP(ROWS, PANELS, PHASE, K, B_ROW, SPLAT)                                               \
  for (int q = 0; q < PANELS; q++) {                                                                  \
    f32x4 b0 = f32x4_load(p[q] + (K) * (B_ROW)), b1 = f32x4_load(p[q] + (K) * (B_ROW) + 4);           \
    for (int i = 0; i < ROWS; i++) {                                                                  \
      f32x4 s = SPLAT(i, K), *to = sum[PHASE][i] + 2 * q;                                             \
      to[0] = f32x4_fma(s, b0, to[0]);                                                                \
      to[1] = f32x4_fma(s, b1, to[1]);                                                                \
    }                                                                                                 \
  }

// c[ROWS][8] = (add ? c : 0) + the products, for PANELS panels of which each is `next` after the one before. A tile is a
// function because engines replace slow code by fast code only where a function is entered.
#define GEMM_TILE(NAME, ROWS, PANELS, PHASES, B_ROW)                                                  \
  SHARED void NAME(const float *const *rows, const int32_t *taps, int32_t tap_count, int32_t first,   \
                   int32_t depth, const float *b, int32_t b_row, int32_t b_panel, int32_t next,       \
                   float *c, int32_t c_row, int32_t add) {                                            \
    f32x4 sum[PHASES][ROWS][2 * PANELS];                                                              \
    for (int p = 0; p < PHASES; p++)                                                                  \
      for (int i = 0; i < ROWS; i++)                                                                  \
        for (int h = 0; h < 2 * PANELS; h++) sum[p][i][h] = f32x4_splat(0);                           \
    if (add)                                                                                          \
      for (int i = 0; i < ROWS; i++)                                                                  \
        for (int h = 0; h < 2 * PANELS; h++) sum[0][i][h] = f32x4_load(GEMM_AT(i, h));                \
    GEMM_SUM(ROWS, PANELS, PHASES, B_ROW, next * b_panel);                                            \
    for (int i = 0; i < ROWS; i++)                                                                    \
      for (int h = 0; h < 2 * PANELS; h++) {                                                          \
        for (int p = 1; p < PHASES; p++) sum[0][i][h] = f32x4_add(sum[0][i][h], sum[p][i][h]);        \
        f32x4_store(GEMM_AT(i, h), sum[0][i][h]);                                                     \
      }                                                                                               \
  }
#define GEMM_AT(I, H) (c + (I) * c_row + (H) / 2 * 8 * next + (H) % 2 * 4)

// Tiles of one panel and, where rows are so few that it is the right matrix that counts, of a pair. Sums over k are
// the same in both, so that it does not matter where panels are cut.
#define GEMM_TILES(NAME, B_ROW)                                                                       \
  GEMM_TILE(NAME##_1, 1, 1, 2, B_ROW)                                                                 \
  GEMM_TILE(NAME##_1_pair, 1, 2, 2, B_ROW)                                                            \
  GEMM_TILE(NAME##_2, 2, 1, 1, B_ROW)                                                                 \
  GEMM_TILE(NAME##_2_pair, 2, 2, 1, B_ROW)                                                            \
  GEMM_TILE(NAME##_3, 3, 1, (GEMM_ROWS / 3), B_ROW)                                                   \
  GEMM_TILE(NAME##_4, 4, 1, 1, B_ROW)                                                                 \
  GEMM_TILE(NAME##_5, 5, 1, 1, B_ROW)                                                                 \
  GEMM_TILE(NAME##_whole, GEMM_ROWS, 1, 1, B_ROW)
GEMM_TILES(gemm_tile, 8)
GEMM_TILES(gemm_direct, b_row)

// Tiles of 4 rows for Cranelift, which does all loads of a basic block before it multiplies, multiplies into new
// registers only, and gives registers up where values meet from several sides. So here is one k in a block, two in a
// loop, no other loop around, no start but zeros, and an index that the rows share.
#define GEMM_TILE_APART(NAME, B_ROW)                                                                  \
  SHARED void NAME##_tap(const float *const *rows, int32_t tap, int32_t depth, const float *b,        \
                         int32_t b_row, float *c, int32_t c_row, int32_t add) {                       \
    const float *a[4], *p[1] = {b};                                                                   \
    f32x4 sum[1][4][2];                                                                               \
    for (int i = 0; i < 4; i++) {                                                                     \
      sum[0][i][0] = sum[0][i][1] = f32x4_splat(0);                                                   \
      a[i] = rows[i] + tap;                                                                           \
      OPAQUE(a[i]);                                                                                   \
    }                                                                                                 \
    COMPACT_LOOP for (int32_t k = 0;;) {                                                              \
      GEMM_STEP(4, 1, 0, 0, B_ROW, GEMM_APART)                                                        \
      if (k + 1 == depth) break;                                                                      \
      GEMM_STEP(4, 1, 0, 1, B_ROW, GEMM_APART)                                                        \
      if ((k += 2) == depth) break;                                                                   \
      p[0] += 2 * (B_ROW);                                                                            \
    }                                                                                                 \
    for (int i = 0; i < 4; i++)                                                                       \
      for (int h = 0; h < 2; h++) {                                                                   \
        float *to = c + i * c_row + 4 * h;                                                            \
        f32x4_store(to, add ? f32x4_add(f32x4_load(to), sum[0][i][h]) : sum[0][i][h]);                \
      }                                                                                               \
  }                                                                                                   \
  INLINE void NAME(const float *const *rows, const int32_t *taps, int32_t tap_count, int32_t first,   \
                   int32_t depth, const float *b, int32_t b_row, int32_t b_panel, int32_t next,       \
                   float *c, int32_t c_row, int32_t add) {                                            \
    for (int32_t t = 0; t < tap_count; t++, b += depth * (B_ROW))                                     \
      NAME##_tap(rows, first + taps[t], depth, b, b_row, c, c_row, add | t);                          \
  }
#define GEMM_APART(I, K) f32x4_load_splat_apart(a[I] + k + K)
GEMM_TILE_APART(gemm_tile_apart, 8)
GEMM_TILE_APART(gemm_direct_apart, b_row)

// A block: all panels, all rows, the depth in pieces that fit L1.
#define GEMM_CALL(TILE)                                                                               \
  TILE(rows, g->taps + t, taps, j, depth, b, g->b_row, g->b_panel, next, c, c_row, g->add | t | j)
// A pair is a panel of the first half and one of the second: as two long streams memory is read twice as fast as by
// turns, since processors fetch ahead what follows.
#define GEMM_PAIRS(TILE)                                                                              \
  next = g->panel_count / 2;                                                                          \
  for (p = 0; p < next; p++, b += g->b_panel, c += 8) GEMM_CALL(TILE##_pair);                         \
  b += next * g->b_panel;                                                                             \
  c += 8 * next;                                                                                      \
  if (2 * next < g->panel_count) GEMM_CALL(TILE)
#define GEMM_BLOCK(NAME, TILE)                                                                        \
  SHARED void NAME(const Gemm *g) {                                                                   \
    int32_t whole = g->depth, most = g->undivided ? whole : GEMM_DEPTH, taps;                         \
    int32_t together = whole > 0 && whole < GEMM_DEPTH ? GEMM_DEPTH / whole : 1;                      \
    int32_t apart = slow_splats && whole > 0, each = apart ? 4 : GEMM_ROWS, c_row = g->c_row;         \
    int32_t left = g->row_count % each, end = g->row_count - left;                                    \
    for (int32_t t = 0; t < g->tap_count; t += taps) {                                                \
      taps = g->tap_count - t < together ? g->tap_count - t : together;                               \
      int32_t j = 0;                                                                                  \
      do {                                                                                            \
        int32_t depth = whole - j < most ? whole - j : most, p, next = 0;                             \
        const float *from = g->b + (t * whole + j) * g->b_row, *b = from;                             \
        const float *const *rows = g->rows;                                                           \
        float *c = g->c;                                                                              \
        if (end || left > 2)                                                                          \
          for (p = 0; p < g->panel_count; p++, b += g->b_panel) {                                     \
            rows = g->rows;                                                                           \
            c = g->c + 8 * p;                                                                         \
            for (; rows < g->rows + end; rows += each, c += each * c_row)                             \
              if (apart) GEMM_CALL(TILE##_apart);                                                     \
              else GEMM_CALL(TILE##_whole);                                                           \
            if (left == 5) GEMM_CALL(TILE##_5);                                                       \
            else if (left == 4) GEMM_CALL(TILE##_4);                                                  \
            else if (left == 3) GEMM_CALL(TILE##_3);                                                  \
          }                                                                                           \
        rows = g->rows + end;                                                                         \
        c = g->c + end * c_row;                                                                       \
        b = from;                                                                                     \
        if (left == 2) {                                                                              \
          GEMM_PAIRS(TILE##_2);                                                                       \
        } else if (left == 1) {                                                                       \
          GEMM_PAIRS(TILE##_1);                                                                       \
        }                                                                                             \
        j += depth;                                                                                   \
      } while (j < whole);                                                                            \
    }                                                                                                 \
  }
GEMM_BLOCK(gemm_block, gemm_tile)
GEMM_BLOCK(gemm_block_direct, gemm_direct)

// c[row_count][columns] where the right matrix has unit stride along k: sums of 4 lanes. For few rows.
SHARED void gemm_dots(const Gemm *g, int32_t columns, int32_t b_column) {
  for (int32_t i = 0; i < g->row_count; i++) {
    for (int32_t n = 0; n < columns; n++) {
      const float *a = g->rows[i] + g->taps[0], *b = g->b + n * b_column;
      f32x4 s0 = f32x4_splat(0), s1 = s0, s2 = s0, s3 = s0;
      int32_t k = g->depth;
      for (; k >= 16; k -= 16, a += 16, b += 16) {
        s0 = f32x4_fma(f32x4_load(a), f32x4_load(b), s0);
        s1 = f32x4_fma(f32x4_load(a + 4), f32x4_load(b + 4), s1);
        s2 = f32x4_fma(f32x4_load(a + 8), f32x4_load(b + 8), s2);
        s3 = f32x4_fma(f32x4_load(a + 12), f32x4_load(b + 12), s3);
      }
      float sum = f32x4_horizontal_add(f32x4_add(f32x4_add(s0, s1), f32x4_add(s2, s3)));
      COMPACT_LOOP for (; k > 0; k--) sum += *a++ * *b++;
      g->c[i * g->c_row + n] = sum;
    }
  }
}

// Rows of 4 x 4 elements to columns.
INLINE void gemm_transpose(f32x4 v[4]) {
  f32x4 t0 = wasm_i32x4_shuffle(v[0], v[1], 0, 4, 1, 5), t1 = wasm_i32x4_shuffle(v[2], v[3], 0, 4, 1, 5);
  f32x4 t2 = wasm_i32x4_shuffle(v[0], v[1], 2, 6, 3, 7), t3 = wasm_i32x4_shuffle(v[2], v[3], 2, 6, 3, 7);
  v[0] = wasm_i64x2_shuffle(t0, t1, 0, 2);
  v[1] = wasm_i64x2_shuffle(t0, t1, 1, 3);
  v[2] = wasm_i64x2_shuffle(t2, t3, 0, 2);
  v[3] = wasm_i64x2_shuffle(t2, t3, 1, 3);
}

// to[i * to_row + j] = from[i * from_row + j * from_column]; may write up to 3 elements past the last row.
SHARED void gemm_copy(float *to, int32_t to_row, const float *from, int32_t from_row, int32_t from_column,
                        int32_t rows, int32_t columns) {
  int32_t i = 0;
  if (from_column == 1) {
    for (; i < rows; i++, to += to_row, from += from_row) {
      int32_t j = 0;
      COMPACT_LOOP for (; j + 4 <= columns; j += 4) f32x4_store(to + j, f32x4_load(from + j));
      COMPACT_LOOP for (; j < columns; j++) to[j] = from[j];
    }
    return;
  }
  if (from_row == 1) {
    // four rows at once, four columns at once, transposed; the rest of a row is written by the next
    for (; i + 4 <= rows; i += 4, to += 4 * to_row, from += 4) {
      for (int32_t j = 0; j < columns; j += 4) {
        int32_t last = columns - 1 - j;
        const float *p = from + j * from_column;
        f32x4 v[4] = {f32x4_load(p), f32x4_load(p + from_column * (last < 1 ? last : 1)),
                      f32x4_load(p + from_column * (last < 2 ? last : 2)),
                      f32x4_load(p + from_column * (last < 3 ? last : 3))};
        gemm_transpose(v);
        int32_t n = columns < 4 ? 4 : last + 1;
        for (int r = 0; r < 4; r++) f32x4_store_partial(to + r * to_row + j, v[r], n);
      }
    }
  }
  for (; i < rows; i++, to += to_row, from += from_row)
    COMPACT_LOOP for (int32_t j = 0; j < columns; j++) to[j] = from[j * from_column];
}

// A part of the depth of some rows, side by side: rows of a matrix with many columns lie in as many pages, and, where
// those are a power of two, in the same sets of the caches.
SHARED void gemm_gather(const float **gathered, float *to, const float *const *rows, int32_t row_count,
                        int32_t first, int32_t depth) {
  for (int32_t i = 0; i < row_count; i++, to += GEMM_GATHERED) {
    __builtin_memcpy(to, rows[i] + first, (uint32_t)depth * 4);
    gathered[i] = to;
  }
}

// Panels [columns / 8 rounded up][depth][8] of a matrix with any strides, zero beyond its columns.
SHARED void gemm_pack(float *panels, const float *b, int32_t b_row, int32_t b_column, int32_t depth,
                        int32_t columns) {
  int32_t done = 0;  // rows of whole panels
  if (b_column == 1) {
    // four rows at once through all panels: caches then read and write whole lines
    for (; done + 4 <= depth; done += 4) {
      const float *from = b + done * b_row;
      float *to = panels + 8 * done;
      COMPACT_LOOP for (int32_t j = 0; j + 8 <= columns; j += 8, from += 8, to += 8 * depth) {
        UNROLLED for (int r = 0; r < 4; r++) {
          f32x4_store(to + 8 * r, f32x4_load(from + r * b_row));
          f32x4_store(to + 8 * r + 4, f32x4_load(from + r * b_row + 4));
        }
      }
    }
  }
  for (; columns > 0; columns -= 8, b += 8 * b_column, panels += 8 * depth) {
    int32_t width = columns < 8 ? columns : 8, first = width < 8 ? 0 : done;
    if (width < 8) __builtin_memset(panels, 0, (uint32_t)depth * 32);
    else if (b_row == 1)
      COMPACT_LOOP for (; first + 4 <= depth; first += 4)
        for (int32_t half = 0; half < 8; half += 4) {
          f32x4 v[4];
          for (int32_t i = 0; i < 4; i++) v[i] = f32x4_load(b + first + (half + i) * b_column);
          gemm_transpose(v);
          for (int32_t i = 0; i < 4; i++) f32x4_store(panels + 8 * (first + i) + half, v[i]);
        }
    gemm_copy(panels + 8 * first, 8, b + first * b_row, b_row, b_column, depth - first, width);
  }
}
