// Products of bytes by any int8, where engines multiply as x86 does before VNNI: the left matrix is split.
//
// Pairs of products saturate to int16, unless bytes take 7 bits only. Most elements of quantised activations do, counted
// from where the window of 128 levels begins that holds them: these bits meet the panels, by octets where the panel lets
// them. An element outside the window is off by 128, one way or the other: it is a stray, and that product comes apart.

#pragma once
#include "gemm8.h"

#define SPLIT8_TILES 12   // of the largest block
#define SPLIT8_PANELS 16  // the same
#define SPLIT8_SAMPLE 4   // rows that are looked at
#define SPLIT8_CHECK 16   // rows from which on it pays to find out which panels go by octets

// A quad of a tile's rows in which some elements lie outside the window, all of them on one side.
typedef struct {
  int32_t quad;
  int32_t sign;     // as two words: what the products are multiplied with
  int32_t high[4];  // of each row, bytes: 128 where an element is a stray
} Split8Stray;

typedef struct {
  int32_t window;                 // where it begins, in bytes read as unsigned
  int32_t most;                   // strays: with more, products of words are as fast
  Split8Stray *strays;            // of all tiles of the block
  int32_t ends[SPLIT8_TILES];     // of each tile's
  uint8_t octets[SPLIT8_PANELS];  // whether a panel meets 7 bits by octets
} Split8;

// Strays lie behind the `elements` bytes of a block, in memory for as many words.
INLINE void split8_begin(Split8 *s, int16_t *packed, int32_t elements) {
  s->window = -1;
  s->most = elements / 64;
  s->strays = (Split8Stray *)(void *)((int8_t *)packed + elements + 16);
}

// Lays the window around the mean of some rows, once.
SHARED void split8_window(Split8 *s, const int8_t *a, int32_t a_m, int32_t a_k, int32_t m, int32_t k, int is_signed) {
  if (s->window >= 0) return;
  int32_t sum = 0, count = m < SPLIT8_SAMPLE ? m : SPLIT8_SAMPLE;
  for (int32_t i = 0; i < count; i++) {
    const int8_t *row = a + m / count * i * a_m;
    COMPACT_LOOP for (int32_t j = 0; j < k; j++) sum += (uint8_t)(row[j * a_k] ^ (is_signed ? 128 : 0));
  }
  const int32_t first = count * k > 0 ? sum / (count * k) - 64 : 0;
  s->window = first < 0 ? 0 : first > 128 ? 128 : first;
}

// Adds the strays among 16 columns of a tile's rows, of which those from `width` on are none of it.
NOINLINE Split8Stray *split8_strays_of(const uint8_t *from, int32_t depth, int32_t height, int32_t quad,
                                       int32_t width, int32_t window, Split8Stray *stray) {
  const v128_t zero = wasm_i8x16_splat(0), last = wasm_i8x16_splat((int8_t)(255 - window));
  v128_t sides[2][4], any[2] = {zero, zero};
  for (int i = 0; i < 4; i++) {
    const v128_t v = i < height ? wasm_v128_load(from + i * depth) : zero;
    const v128_t stray_bits = wasm_v128_and(v, wasm_i8x16_splat(-128)), lower = wasm_u8x16_gt(v, last);
    sides[0][i] = wasm_v128_andnot(stray_bits, lower);
    sides[1][i] = wasm_v128_and(stray_bits, lower);
    for (int side = 0; side < 2; side++) any[side] = wasm_v128_or(any[side], sides[side][i]);
  }
  for (int side = 0; side < 2; side++) {
    uint32_t bits = wasm_i8x16_bitmask(any[side]) & ((1u << width) - 1);
    while (bits) {
      const int32_t q = __builtin_ctz(bits) / 4;
      bits &= ~(15u << 4 * q);
      *stray = (Split8Stray){.quad = quad + q, .sign = side ? -1 : 0x10001};
      for (int i = 0; i < 4; i++) stray->high[i] = ((const int32_t *)&sides[side][i])[q];
      stray++;
    }
  }
  return stray;
}

// Leaves 7 bits of each byte of rows[row_count][depth], which are counted from where the window begins. False, with what
// is left useless, if strays are too many.
SHARED int split8_rows(Split8 *s, uint8_t *rows, int32_t depth, int32_t row_count) {
  const v128_t low = wasm_i8x16_splat(127);
  Split8Stray *stray = s->strays;
  int32_t *end = s->ends;
  for (; row_count > 0; row_count -= 4, rows += 4 * depth) {
    const int32_t height = row_count < 4 ? row_count : 4;
    for (int32_t k = 0; k < depth; k += 16) {
      const int32_t width = depth - k < 16 ? depth - k : 16;
      uint8_t *p = rows + k;
      v128_t any = wasm_i8x16_splat(0);
      for (int32_t i = 0; i < height; i++) any = wasm_v128_or(any, wasm_v128_load(p + i * depth));
      if (wasm_i8x16_bitmask(any)) {
        stray = split8_strays_of(p, depth, height, k / 4, width, s->window, stray);
        if (stray - s->strays > s->most) return 0;
      }
      if (width == 16)
        for (int32_t i = 0; i < height; i++)
          wasm_v128_store(p + i * depth, wasm_v128_and(wasm_v128_load(p + i * depth), low));
      else
        for (int32_t i = 0; i < height; i++)
          COMPACT_LOOP for (int32_t q = 0; q < width; q++) p[i * depth + q] &= 127;
    }
    *end++ = (int32_t)(stray - s->strays);
  }
  return 1;
}

// Whether 7 bits meet the panel by octets: four weights of one sign, times 127, fit int16.
SHARED int split8_octets(const int8_t *panel, int32_t quads) {
  const v128_t zero = wasm_i8x16_splat(0);
  v128_t most = zero, least = zero;
  COMPACT_LOOP for (; quads > 0; quads -= 2, panel += 64) {
    for (int h = 0; h < 2; h++) {
      v128_t a = wasm_v128_load(panel + 16 * h), b = quads > 1 ? wasm_v128_load(panel + 32 + 16 * h) : zero;
      v128_t positive = wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_max(a, zero)),
                                       wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_max(b, zero)));
      v128_t whole = wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(a), wasm_i16x8_extadd_pairwise_i8x16(b));
      most = wasm_i16x8_max(most, positive);
      least = wasm_i16x8_min(least, wasm_i16x8_sub(whole, positive));
    }
  }
  const v128_t limit = wasm_i16x8_splat(INT16_MAX / 127);
  return !wasm_v128_any_true(wasm_v128_or(wasm_i16x8_gt(most, limit), wasm_i16x8_lt(least, wasm_i16x8_neg(limit))));
}

#ifdef __wasm_relaxed_simd__
// c[4][8] += the products of a tile's strays.
SHARED void split8_strays(const Split8Stray *stray, const Split8Stray *end, const int8_t *panel, int32_t *c,
                          int32_t c_row) {
  v128_t sum[4][2];
  for (int i = 0; i < 4; i++)
    for (int h = 0; h < 2; h++) sum[i][h] = wasm_v128_load(c + i * c_row + 4 * h);
  for (; stray < end; stray++) {
    const int8_t *b = panel + 32 * stray->quad;
    v128_t b0 = wasm_v128_load(b), b1 = wasm_v128_load(b + 16), one = wasm_v128_load32_splat(&stray->sign);
    for (int i = 0; i < 4; i++) {
      v128_t s = wasm_v128_load32_splat(&stray->high[i]);
      sum[i][0] = GEMM8_MULTIPLY_PAIRED(b0, s, sum[i][0]);
      sum[i][1] = GEMM8_MULTIPLY_PAIRED(b1, s, sum[i][1]);
      OPAQUE(sum[i][0]);
      OPAQUE(sum[i][1]);
    }
  }
  for (int i = 0; i < 4; i++)
    for (int h = 0; h < 2; h++) wasm_v128_store(c + i * c_row + 4 * h, sum[i][h]);
}

#else
SHARED void split8_strays(const Split8Stray *stray, const Split8Stray *end, const int8_t *panel, int32_t *c,
                          int32_t c_row) {}
#endif

// Finds out which of a block's panels go by octets, if that pays for `m` rows.
SHARED void split8_panels(Split8 *s, const Gemm8 *g, int32_t m) {
  for (int32_t p = 0; p < g->panel_count; p++)
    s->octets[p] = m >= SPLIT8_CHECK && split8_octets(g->b + p * gemm8_panel(g), g->depth / 4);
}

// gemm8_block of rows that split8_rows has split. Writes whole tiles.
SHARED void split8_block(const Split8 *s, const Gemm8 *g) {
  Gemm8 of = *g;
  of.panel_count = 1;
  for (int32_t p = 0; p < g->panel_count; p++) {
    of.form = s->octets[p] ? GEMM8_OCTETS : GEMM8_PAIRED;
    gemm8_block(&of);
    int32_t *c = of.c, begin = 0;
    for (int32_t t = 0; 4 * t < g->row_count; begin = s->ends[t++], c += 4 * g->c_row)
      if (s->ends[t] > begin) split8_strays(s->strays + begin, s->strays + s->ends[t], of.b, c, g->c_row);
    of.b += gemm8_panel(g);
    of.start += 8;
    of.c += 8;
  }
}
