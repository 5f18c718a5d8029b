// Right matrices of small integers, blocks of which share a scale and a zero point, for matrix products.
//
// Levels lie in panels of 8 columns, [panel][k][8], of 4 or 8 bits each. Scales
// and zero points lie in panels too, one row for each block of k. Few rows are multiplied with what a panel's levels
// stand for in registers; for many it is unpacked once into panels of gemm.h.

#pragma once
#include "gemm.h"

#define BLOCKS_FEW 4  // rows up to which unpacking costs more than reading levels again

typedef struct {
  const uint8_t *levels;  // of the first panel
  const float *scales, *zeros;
  int32_t zero_row;  // from one block's zero points to the next's: 8, or 0 where all are those at `zeros`
  int32_t size, depth;
} Blocks;

// Levels of 8 columns, of 4 bits or of 8, as floats to which `minus` is added. Where all lanes mask their own level of
// one word, it comes out as a multiple of a power of two, which is exact.
#define BLOCKS_LANES                                                                                  \
  KEPT(mask, wasm_i32x4_const(0xf, 0xf0, 0xf00, 0xf000));                                             \
  KEPT(unit, wasm_f32x4_const(1, 1 / 16.f, 1 / 256.f, 1 / 4096.f))
INLINE void blocks_floats_4(const uint8_t *at, v128_t mask, f32x4 unit, const f32x4 minus[2], f32x4 to[2]) {
  const v128_t word = wasm_v128_load32_splat(at);
  to[0] = f32x4_fma(wasm_f32x4_convert_i32x4(wasm_v128_and(word, mask)), unit, minus[0]);
  to[1] = f32x4_fma(wasm_f32x4_convert_i32x4(wasm_v128_and(wasm_u32x4_shr(word, 16), mask)), unit, minus[1]);
}
INLINE void blocks_floats_8(const uint8_t *at, v128_t mask, f32x4 unit, const f32x4 minus[2], f32x4 to[2]) {
  (void)mask, (void)unit;
  const v128_t words = wasm_u16x8_load8x8(at);
  to[0] = f32x4_add(wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(words)), minus[0]);
  to[1] = f32x4_add(wasm_f32x4_convert_i32x4(wasm_u32x4_extend_high_u16x8(words)), minus[1]);
}

// c[ROWS][8] = the products of ROWS rows and a panel. A block's sums take its scale once. Two phases sum over alternate
// k where one row alone would wait for its own sums.
#define BLOCKS_TILE(BITS, ROWS, PHASES)                                                               \
  SHARED void blocks_tile_##BITS##_##ROWS(const float *const *rows, const Blocks *b, float *c, int32_t c_row) { \
    BLOCKS_LANES;                                                                                     \
    const uint8_t *levels = b->levels;                                                                \
    const float *scales = b->scales, *zeros = b->zeros;                                               \
    f32x4 total[ROWS][2];                                                                             \
    for (int i = 0; i < ROWS; i++) total[i][0] = total[i][1] = f32x4_splat(0);                        \
    for (int32_t first = 0; first < b->depth; scales += 8, zeros += b->zero_row) {                    \
      const int32_t end = b->depth - first < b->size ? b->depth : first + b->size;                    \
      const f32x4 minus[2] = {f32x4_neg(f32x4_load(zeros)), f32x4_neg(f32x4_load(zeros + 4))};      \
      f32x4 sum[PHASES][ROWS][2];                                                                     \
      for (int p = 0; p < PHASES; p++)                                                                \
        for (int i = 0; i < ROWS; i++) sum[p][i][0] = sum[p][i][1] = f32x4_splat(0);                  \
      COMPACT_LOOP for (; first + PHASES <= end; first += PHASES)                                     \
        UNROLLED for (int p = 0; p < PHASES; p++, levels += BITS) BLOCKS_STEP(BITS, ROWS, p, first + p) \
      if (PHASES > 1 && first < end) {                                                                \
        BLOCKS_STEP(BITS, ROWS, 0, first)                                                             \
        first++, levels += BITS;                                                                      \
      }                                                                                               \
      for (int h = 0; h < 2; h++) {                                                                   \
        const f32x4 scale = f32x4_load(scales + 4 * h);                                               \
        for (int i = 0; i < ROWS; i++) {                                                              \
          for (int p = 1; p < PHASES; p++) sum[0][i][h] = f32x4_add(sum[0][i][h], sum[p][i][h]);      \
          total[i][h] = f32x4_fma(sum[0][i][h], scale, total[i][h]);                                  \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
    for (int i = 0; i < ROWS; i++)                                                                    \
      for (int h = 0; h < 2; h++) f32x4_store(c + i * c_row + 4 * h, total[i][h]);                    \
  }
#define BLOCKS_STEP(BITS, ROWS, PHASE, K)                                                             \
  {                                                                                                   \
    f32x4 w[2];                                                                                       \
    blocks_floats_##BITS(levels, mask, unit, minus, w);                                               \
    for (int i = 0; i < ROWS; i++) {                                                                  \
      const f32x4 s = f32x4_load_splat(rows[i] + (K));                                                \
      sum[PHASE][i][0] = f32x4_fma(s, w[0], sum[PHASE][i][0]);                                        \
      sum[PHASE][i][1] = f32x4_fma(s, w[1], sum[PHASE][i][1]);                                        \
    }                                                                                                 \
  }

// The next panel, of so many bits, after one of b.
#define BLOCKS_NEXT(B, BITS)                                                                          \
  do {                                                                                                \
    const int32_t count = ((B).depth + (B).size - 1) / (B).size;                                      \
    (B).levels += (B).depth * (BITS);                                                                 \
    (B).scales += 8 * count;                                                                          \
    (B).zeros += (B).zero_row * count;                                                                \
  } while (0)

#define BLOCKS(BITS)                                                                                  \
  BLOCKS_TILE(BITS, 1, 2)                                                                             \
  BLOCKS_TILE(BITS, 2, 1)                                                                             \
  /* c[row_count][c_row], whole panels, of a few rows */                                              \
  SHARED void blocks_few_##BITS(const float *const *rows, int32_t row_count, Blocks b, int32_t panels, float *c, \
                                int32_t c_row) {                                                      \
    COMPACT_LOOP for (int32_t p = 0; p < panels; p++, c += 8) {                                       \
      int32_t i = 0;                                                                                  \
      COMPACT_LOOP for (; i + 2 <= row_count; i += 2) blocks_tile_##BITS##_2(rows + i, &b, c + i * c_row, c_row); \
      if (i < row_count) blocks_tile_##BITS##_1(rows + i, &b, c + i * c_row, c_row);                  \
      BLOCKS_NEXT(b, BITS);                                                                           \
    }                                                                                                 \
  }                                                                                                   \
  /* to[panel][k][8] of gemm.h */                                                                     \
  SHARED void blocks_unpack_##BITS(float *to, Blocks b, int32_t panels) {                             \
    BLOCKS_LANES;                                                                                     \
    for (int32_t p = 0; p < panels; p++) {                                                            \
      const uint8_t *levels = b.levels;                                                               \
      const float *scales = b.scales, *zeros = b.zeros;                                               \
      for (int32_t first = 0; first < b.depth; scales += 8, zeros += b.zero_row) {                    \
        const int32_t end = b.depth - first < b.size ? b.depth : first + b.size;                      \
        const f32x4 minus[2] = {f32x4_neg(f32x4_load(zeros)), f32x4_neg(f32x4_load(zeros + 4))};      \
        const f32x4 scale[2] = {f32x4_load(scales), f32x4_load(scales + 4)};                          \
        COMPACT_LOOP for (; first < end; first++, levels += BITS, to += 8) {                          \
          f32x4 w[2];                                                                                 \
          blocks_floats_##BITS(levels, mask, unit, minus, w);                                         \
          for (int h = 0; h < 2; h++) f32x4_store(to + 4 * h, f32x4_mul(w[h], scale[h]));             \
        }                                                                                             \
      }                                                                                               \
      BLOCKS_NEXT(b, BITS);                                                                           \
    }                                                                                                 \
  }
BLOCKS(4)
BLOCKS(8)
