// Products of 8-bit integers, summed exactly in int32 modulo 2^32: tiles of 4 rows and 8 columns.
//
// The right matrix, of int8, lies in panels of 8 columns with four k together (a quad), [panel][k / 4][8][4], zero
// beyond its k; the sum of each column follows. The left matrix is packed: a pointer per row and a list of taps as in
// gemm.h, each `depth` long, a multiple of 4; what lies beyond the matrix's own k meets zeros. How its elements are packed
// is the form's:
//
//   bytes    for the relaxed dot product, whose first operand, signed, is the right matrix. What engines make of the
//            second differs, so it is tried (gemm8_dots): where they read it as unsigned, int8 is packed with 128
//            added; where as signed, uint8 is packed with 128 taken off. The sums' starting values make up for it.
//   words    int16 for the dot product of plain SIMD, by a panel widened to [k / 2][8][2].

#pragma once
#include "simd.h"

#define GEMM8_ROWS 4

typedef enum {
  GEMM8_WORDS,     // no relaxed dot, or none that is exact for these operands
  GEMM8_PAIRED,    // bytes are unsigned; pairs of products saturate to int16, as x86 multiplies before VNNI
  GEMM8_OCTETS,    // the same, and no two adjacent quads leave int16 together
  GEMM8_SPLIT,     // the same, for weights that leave int16: see split8.h
  GEMM8_UNSIGNED,  // bytes are unsigned, sums exact: VNNI
  GEMM8_SIGNED,    // bytes are signed, sums exact: Arm
} Gemm8Form;

typedef struct {
  Gemm8Form form;
  const void *const *rows;  // of uint8_t, or of int16_t
  int32_t row_count;
  const int32_t *taps;  // in elements
  int32_t tap_count, depth;
  const int8_t *b;
  int b_unsigned;  // whether b is of uint8, for words alone
  int32_t panel_count;
  const int32_t *start;  // [panel][8]: what sums begin with
  int32_t *c;            // [row_count][c_row], whole panels
  int32_t c_row;
  int16_t *wide;  // for words: memory for a panel
  int add;        // whether sums go on from those in c instead, for panels of words alone
} Gemm8;

INLINE int32_t gemm8_panel(const Gemm8 *g) { return g->tap_count * g->depth * 8; }

#ifdef __wasm_relaxed_simd__
// What the engine's relaxed dot products do with bytes above 127.
SHARED Gemm8Form gemm8_dots(void) {
  v128_t high = wasm_i8x16_splat(-1), low = wasm_i8x16_splat(-128), most = wasm_i8x16_splat(127);
  OPAQUE(high);
  v128_t zero = wasm_i32x4_splat(0), half = wasm_i8x16_splat(64);
  int32_t a = wasm_i32x4_extract_lane(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(low, high, zero), 0);
  int32_t b = wasm_i32x4_extract_lane(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(most, high, zero), 0);
  int32_t pair = wasm_i16x8_extract_lane(wasm_i16x8_relaxed_dot_i8x16_i7x16(half, high), 0);
  if (a == 4 * -128 * 255 && b == 4 * 127 * 255) return GEMM8_UNSIGNED;
  if (a == 4 * 128 && b == -4 * 127) return GEMM8_SIGNED;
  return a == 2 * INT16_MIN && b == 2 * INT16_MAX && pair == 2 * 64 * 255 ? GEMM8_PAIRED : GEMM8_WORDS;
}
#endif

// The form for a right matrix of int8. `pairs` of its elements, which meet in a 16-bit lane, fit that whatever they are
// multiplied with; of `octets` two such pairs, of adjacent quads. Where they don't, kernels may have means to `split`.
INLINE Gemm8Form gemm8_form(int pairs, int octets, int split) {
#ifdef __wasm_relaxed_simd__
  Gemm8Form form = gemm8_dots();
  if (form == GEMM8_PAIRED) return pairs ? octets ? GEMM8_OCTETS : form : split ? GEMM8_SPLIT : GEMM8_WORDS;
  return form;
#else
  return GEMM8_WORDS;
#endif
}

// What is added to elements of the left matrix when they are packed: modulo 256 it turns the highest bit.
INLINE int32_t gemm8_shift(Gemm8Form form, int is_signed) {
  if (form == GEMM8_WORDS || is_signed == (form == GEMM8_SIGNED)) return 0;
  return is_signed ? 128 : -128;
}

// Where each row begins that is packed for a form.
INLINE void gemm8_rows(const void **rows, int32_t count, const void *packed, int32_t depth, Gemm8Form form) {
  const int32_t row = form == GEMM8_WORDS ? 2 * depth : depth;
  for (int32_t i = 0; i < count; i++) rows[i] = (const char *)packed + i * row;
}

// start[panel][8] = what sums begin with, where `shift` was added to the left matrix and columns have these sums.
SHARED void gemm8_start(int32_t *start, const int32_t *sums, int32_t panels, int32_t shift) {
  COMPACT_LOOP for (int32_t j = 0; j < 8 * panels; j += 4)
    wasm_v128_store(start + j, wasm_i32x4_mul(wasm_v128_load(sums + j), wasm_i32x4_splat(-shift)));
}

// to[i * to_row + j] = from[i * from_row + j * from_column], as bytes to which `shift` is added modulo 256, or as
// words. Vector copies: may read and write up to 15 elements past the end of a row, which the next one overwrites.
SHARED void gemm8_copy_bytes(int8_t *to, int32_t to_row, const int8_t *from, int32_t from_row, int32_t from_column,
                             int32_t rows, int32_t columns, int32_t shift) {
  const v128_t added = wasm_i8x16_splat((int8_t)shift);
  for (; rows > 0; rows--, to += to_row, from += from_row) {
    if (from_column == 1)
      COMPACT_LOOP for (int32_t j = 0; j < columns; j += 16)
        wasm_v128_store(to + j, wasm_i8x16_add(wasm_v128_load(from + j), added));
    else
      COMPACT_LOOP for (int32_t j = 0; j < columns; j++) to[j] = (int8_t)(from[j * from_column] + shift);
  }
}
#define GEMM8_COPY_WORDS(NAME, T, LOAD)                                                               \
  SHARED void NAME(int16_t *to, int32_t to_row, const T *from, int32_t from_row, int32_t from_column, \
                   int32_t rows, int32_t columns) {                                                   \
    for (; rows > 0; rows--, to += to_row, from += from_row) {                                        \
      if (from_column == 1)                                                                           \
        COMPACT_LOOP for (int32_t j = 0; j < columns; j += 8) wasm_v128_store(to + j, LOAD(from + j)); \
      else                                                                                            \
        COMPACT_LOOP for (int32_t j = 0; j < columns; j++) to[j] = from[j * from_column];             \
    }                                                                                                 \
  }
GEMM8_COPY_WORDS(gemm8_copy_i8, int8_t, wasm_i16x8_load8x8)
GEMM8_COPY_WORDS(gemm8_copy_u8, uint8_t, wasm_u16x8_load8x8)
GEMM8_COPY_WORDS(gemm8_copy_i16, int16_t, wasm_v128_load)

// Panels of a matrix with any strides, and the sums of its columns.
SHARED void gemm8_pack(int8_t *panels, int32_t *sums, const int8_t *b, int32_t b_row, int32_t b_column, int32_t k,
                       int32_t columns) {
  for (int32_t j = 0; j < columns; j++) {
    sums[j] = 0;
    COMPACT_LOOP for (int32_t i = 0; i < k; i++) sums[j] += b[i * b_row + j * b_column];
  }
  for (; columns > 0; columns -= 8, b += 8 * b_column) {
    for (int32_t q = 0; q < k; q += 4, panels += 32) {
      int32_t width = columns < 8 ? columns : 8, depth = k - q < 4 ? k - q : 4;
      if (width < 8 || depth < 4) __builtin_memset(panels, 0, 32);
      for (int32_t i = 0; i < depth; i++)
        COMPACT_LOOP for (int32_t j = 0; j < width; j++) panels[4 * j + i] = b[(q + i) * b_row + j * b_column];
    }
  }
}

// c[ROWS][8] = start + the products, for some tiles one below the other: calls would take a quarter of the time that
// products of a small depth do. `start_row` is 0 where all rows begin with the same. MULTIPLY adds those of two bytes
// or words of the left matrix, TWO those of K from step U on and of K more.
#define GEMM8_TILE(NAME, ROWS, T, K, MULTIPLY, TWO)                                                   \
  SHARED void NAME(const T *const *rows, int32_t tiles, const int32_t *taps, int32_t tap_count,       \
                   int32_t depth, const T *panel, const int32_t *start, int32_t start_row, int32_t *c, \
                   int32_t c_row) {                                                                   \
    KEPT(one, wasm_i16x8_splat(1));                                                                   \
    (void)one;                                                                                        \
    for (; tiles > 0; tiles--, rows += ROWS, start += ROWS * start_row, c += ROWS * c_row) {          \
      const T *b = panel;                                                                             \
      int32_t t = 0;                                                                                  \
      v128_t sum[ROWS][2];                                                                            \
      for (int i = 0; i < ROWS; i++)                                                                  \
        for (int h = 0; h < 2; h++) sum[i][h] = wasm_v128_load(start + i * start_row + 4 * h);        \
      do {                                                                                            \
        const T *a[ROWS];                                                                             \
        int32_t tap = taps[t], k = depth;                                                             \
        for (int i = 0; i < ROWS; i++) a[i] = rows[i] + tap;                                          \
        for (; k >= 4 * K; k -= 4 * K) {                                                              \
          TWO(ROWS, K, MULTIPLY, 0)                                                                   \
          TWO(ROWS, K, MULTIPLY, 2)                                                                   \
          for (int i = 0; i < ROWS; i++) a[i] += 4 * K;                                               \
          b += 32 * K;                                                                                \
        }                                                                                             \
        if (k >= 2 * K) {                                                                             \
          TWO(ROWS, K, MULTIPLY, 0)                                                                   \
          for (int i = 0; i < ROWS; i++) a[i] += 2 * K;                                               \
          b += 16 * K;                                                                                \
          k -= 2 * K;                                                                                 \
        }                                                                                             \
        if (k > 0) {                                                                                  \
          GEMM8_STEP(ROWS, K, MULTIPLY, 0)                                                            \
          b += 8 * K;                                                                                 \
        }                                                                                             \
      } while (++t < tap_count);                                                                      \
      for (int i = 0; i < ROWS; i++)                                                                  \
        for (int h = 0; h < 2; h++) wasm_v128_store(c + i * c_row + 4 * h, sum[i][h]);                \
    }                                                                                                 \
  }
#define GEMM8_STEP(ROWS, K, MULTIPLY, U)                                                              \
  {                                                                                                   \
    v128_t b0 = wasm_v128_load(b + 8 * K * (U)), b1 = wasm_v128_load(b + 8 * K * (U) + 4 * K);        \
    for (int i = 0; i < ROWS; i++) {                                                                  \
      v128_t s = wasm_v128_load32_splat(a[i] + K * (U));                                              \
      sum[i][0] = MULTIPLY(b0, s, sum[i][0]);                                                         \
      sum[i][1] = MULTIPLY(b1, s, sum[i][1]);                                                         \
      OPAQUE(sum[i][0]);                                                                              \
      OPAQUE(sum[i][1]);                                                                              \
    }                                                                                                 \
  }
#define GEMM8_TWO(ROWS, K, MULTIPLY, U)  \
  GEMM8_STEP(ROWS, K, MULTIPLY, U)       \
  GEMM8_STEP(ROWS, K, MULTIPLY, U + 1)
#define GEMM8_TILES(NAME, T, K, MULTIPLY, TWO)                                                        \
  GEMM8_TILE(NAME##_1, 1, T, K, MULTIPLY, TWO)                                                        \
  GEMM8_TILE(NAME##_2, 2, T, K, MULTIPLY, TWO)                                                        \
  GEMM8_TILE(NAME##_3, 3, T, K, MULTIPLY, TWO)                                                        \
  GEMM8_TILE(NAME##_4, 4, T, K, MULTIPLY, TWO)
#define GEMM8_MULTIPLY_WORDS(B, A, SUM) wasm_i32x4_add(SUM, wasm_i32x4_dot_i16x8(B, A))
GEMM8_TILES(gemm8_words, int16_t, 2, GEMM8_MULTIPLY_WORDS, GEMM8_TWO)
#ifdef __wasm_relaxed_simd__
// V8 spells the fused form out in five instructions where it has none, of which these need three.
#define GEMM8_MULTIPLY_PAIRED(B, A, SUM) \
  wasm_i32x4_add(SUM, wasm_i32x4_dot_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(B, A), one))
#define GEMM8_MULTIPLY_FUSED(B, A, SUM) wasm_i32x4_relaxed_dot_i8x16_i7x16_add(B, A, SUM)
#define GEMM8_OCTET(ROWS, K, MULTIPLY, U)                                                             \
  {                                                                                                   \
    const int8_t *quads = b + 32 * (U);                                                               \
    v128_t b0 = wasm_v128_load(quads), b1 = wasm_v128_load(quads + 16);                               \
    v128_t b2 = wasm_v128_load(quads + 32), b3 = wasm_v128_load(quads + 48);                          \
    for (int i = 0; i < ROWS; i++) {                                                                  \
      v128_t s = wasm_v128_load32_splat(a[i] + 4 * (U)), t = wasm_v128_load32_splat(a[i] + 4 * (U) + 4); \
      sum[i][0] = GEMM8_ADD_OCTET(b0, s, b2, t, sum[i][0]);                                           \
      sum[i][1] = GEMM8_ADD_OCTET(b1, s, b3, t, sum[i][1]);                                           \
      OPAQUE(sum[i][0]);                                                                              \
      OPAQUE(sum[i][1]);                                                                              \
    }                                                                                                 \
  }
#define GEMM8_ADD_OCTET(B0, A0, B1, A1, SUM)                                                          \
  wasm_i32x4_add(SUM, wasm_i32x4_dot_i16x8(wasm_i16x8_add(wasm_i16x8_relaxed_dot_i8x16_i7x16(B0, A0), \
                                                          wasm_i16x8_relaxed_dot_i8x16_i7x16(B1, A1)), one))
GEMM8_TILES(gemm8_paired, int8_t, 4, GEMM8_MULTIPLY_PAIRED, GEMM8_TWO)
GEMM8_TILES(gemm8_octets, int8_t, 4, GEMM8_MULTIPLY_PAIRED, GEMM8_OCTET)
GEMM8_TILES(gemm8_fused, int8_t, 4, GEMM8_MULTIPLY_FUSED, GEMM8_TWO)
#endif

#define GEMM8_CALL(TILE, T, TILES)                                                                    \
  TILE((const T *const *)rows, TILES, g->taps, g->tap_count, g->depth, (const T *)b, start, start_row, c, g->c_row)
#define GEMM8_PANEL(TILE, T)                                                                          \
  GEMM8_CALL(TILE##_4, T, left / 4);                                                                  \
  rows += left & -4;                                                                                  \
  start += (left & -4) * start_row;                                                                   \
  c += (left & -4) * g->c_row;                                                                        \
  switch (left & 3) {                                                                                 \
    case 3: GEMM8_CALL(TILE##_3, T, 1); break;                                                        \
    case 2: GEMM8_CALL(TILE##_2, T, 1); break;                                                        \
    case 1: GEMM8_CALL(TILE##_1, T, 1); break;                                                        \
  }

// From four columns of a quad, [4][4], to those of its first two k and of its last two: [2][4][2].
INLINE v128_t gemm8_in_pairs(v128_t v) {
  return wasm_i8x16_shuffle(v, v, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
}

// wide[k / 2][8][2] = the panel [k / 4][8][4] of int8 or uint8.
SHARED void gemm8_widen(int16_t *wide, const int8_t *b, int32_t quads, int is_unsigned) {
  const v128_t mask = wasm_i16x8_splat(is_unsigned ? 0xff : -1);
  COMPACT_LOOP for (; quads > 0; quads--, b += 32, wide += 32) {
    UNROLLED for (int h = 0; h < 2; h++) {
      const v128_t v = gemm8_in_pairs(wasm_v128_load(b + 16 * h));
      wasm_v128_store(wide + 8 * h, wasm_v128_and(wasm_i16x8_extend_low_i8x16(v), mask));
      wasm_v128_store(wide + 16 + 8 * h, wasm_v128_and(wasm_i16x8_extend_high_i8x16(v), mask));
    }
  }
}

// c[ROWS][8] = start + the products of words by a panel as it is, of int8 or uint8: for rows so few that to widen the
// panel would take as long. Sums of two k each lie side by side until the end.
#define GEMM8_NARROW(NAME, ROWS, LOAD)                                                                \
  SHARED void NAME(const int16_t *const *rows, const int32_t *taps, int32_t tap_count, int32_t depth, \
                   const int8_t *b, const int32_t *start, int32_t *c, int32_t c_row) {                \
    v128_t sum[ROWS][4];                                                                              \
    for (int i = 0; i < ROWS; i++)                                                                    \
      for (int q = 0; q < 4; q++) sum[i][q] = wasm_i32x4_splat(0);                                    \
    for (int32_t t = 0; t < tap_count; t++) {                                                         \
      COMPACT_LOOP for (int32_t k = 0; k < depth; k += 4, b += 32) {                                  \
        v128_t factor[4];                                                                             \
        UNROLLED for (int q = 0; q < 4; q++) factor[q] = LOAD(b + 8 * q);                             \
        UNROLLED for (int i = 0; i < ROWS; i++) {                                                     \
          v128_t s = wasm_v128_load64_splat(rows[i] + taps[t] + k);                                   \
          UNROLLED for (int q = 0; q < 4; q++) sum[i][q] = GEMM8_MULTIPLY_WORDS(factor[q], s, sum[i][q]); \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
    for (int i = 0; i < ROWS; i++)                                                                    \
      for (int h = 0; h < 2; h++) {                                                                   \
        v128_t low = sum[i][2 * h], high = sum[i][2 * h + 1];                                         \
        v128_t whole = wasm_i32x4_add(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6),                      \
                                      wasm_i32x4_shuffle(low, high, 1, 3, 5, 7));                     \
        wasm_v128_store(c + i * c_row + 4 * h, wasm_i32x4_add(wasm_v128_load(start + 4 * h), whole)); \
      }                                                                                               \
  }
GEMM8_NARROW(gemm8_narrow_i8_1, 1, wasm_i16x8_load8x8)
GEMM8_NARROW(gemm8_narrow_i8_2, 2, wasm_i16x8_load8x8)
GEMM8_NARROW(gemm8_narrow_u8_1, 1, wasm_u16x8_load8x8)
GEMM8_NARROW(gemm8_narrow_u8_2, 2, wasm_u16x8_load8x8)
#define GEMM8_NARROW_CALL(TILE) \
  TILE((const int16_t *const *)rows, g->taps, g->tap_count, g->depth, panel, g->start + 8 * p, c, g->c_row)

// A block: all panels, all rows.
SHARED void gemm8_block(const Gemm8 *g) {
  for (int32_t p = 0; p < g->panel_count; p++) {
    const void *const *rows = g->rows;
    const int8_t *panel = g->b + p * gemm8_panel(g);
    const int32_t *start = g->start + 8 * p;
    int32_t *c = g->c + 8 * p;
    int32_t left = g->row_count, start_row = 0;
#ifdef __wasm_relaxed_simd__
    if (g->form != GEMM8_WORDS) {
      const int8_t *b = panel;
      if (g->form == GEMM8_OCTETS) {
        GEMM8_PANEL(gemm8_octets, int8_t)
      } else if (g->form == GEMM8_PAIRED) {
        GEMM8_PANEL(gemm8_paired, int8_t)
      } else {
        GEMM8_PANEL(gemm8_fused, int8_t)
      }
      continue;
    }
#endif
    if (left <= 2) {
      if (left == 1 && g->b_unsigned) GEMM8_NARROW_CALL(gemm8_narrow_u8_1);
      else if (left == 1) GEMM8_NARROW_CALL(gemm8_narrow_i8_1);
      else if (left == 2 && g->b_unsigned) GEMM8_NARROW_CALL(gemm8_narrow_u8_2);
      else if (left == 2) GEMM8_NARROW_CALL(gemm8_narrow_i8_2);
      continue;
    }
    const int16_t *b = g->wide;
    gemm8_widen(g->wide, panel, gemm8_panel(g) / 32, g->b_unsigned);
    GEMM8_PANEL(gemm8_words, int16_t)
  }
}

// The same where panels are words already: [panel][k / 2][8][2].
SHARED void gemm8_words_block(const Gemm8 *g) {
  for (int32_t p = 0; p < g->panel_count; p++) {
    const void *const *rows = g->rows;
    const int16_t *b = (const int16_t *)(const void *)g->b + p * gemm8_panel(g);
    int32_t *c = g->c + 8 * p;
    const int32_t *start = g->add ? c : g->start + 8 * p;
    int32_t left = g->row_count, start_row = g->add ? g->c_row : 0;
    GEMM8_PANEL(gemm8_words, int16_t)
  }
}
