// 3x3 convolutions of bytes at stride 1 as products of transformed tiles, F(4x4, 3x3), exact: see winograd.h. The points
// are 0, +-1, +-2 and infinity, at which inputs and filters have whole values that fit words. Filters are not divided by
// what belongs to the points, 4, 6, 6, 24, 24 and 1: outputs are, by 24 in each direction, of which the odd part is an
// inverse modulo 2^32. So sums may wrap, if 64 times an output does not: see _winograd.py.

#pragma once
#include "conv8.h"
#include "window.h"
#include "winograd_tile.h"

#define WINOGRAD8_NINTH 0x38e38e39  // times 9 is 1

// Six inputs in a row to six points; `to` may be `from`.
INLINE void winograd8_input_row(v128_t d0, v128_t d1, v128_t d2, v128_t d3, v128_t d4, v128_t d5, v128_t *to,
                                int32_t step) {
  const v128_t even_1 = wasm_i16x8_sub(d4, wasm_i16x8_shl(d2, 2)), odd_1 = wasm_i16x8_sub(d3, wasm_i16x8_shl(d1, 2));
  const v128_t even_2 = wasm_i16x8_sub(d4, d2), odd_2 = wasm_i16x8_shl(wasm_i16x8_sub(d3, d1), 1);
  to[0] = wasm_i16x8_add(even_2, wasm_i16x8_shl(wasm_i16x8_sub(d0, d2), 2));
  to[step] = wasm_i16x8_add(even_1, odd_1);
  to[2 * step] = wasm_i16x8_sub(even_1, odd_1);
  to[3 * step] = wasm_i16x8_add(even_2, odd_2);
  to[4 * step] = wasm_i16x8_sub(even_2, odd_2);
  to[5 * step] = wasm_i16x8_add(wasm_i16x8_sub(d5, d3), wasm_i16x8_shl(wasm_i16x8_sub(d1, d3), 2));
}

// to[point * step + c] = the points of the 6x6 patch at x, for each of `channels` adjacent ones, a multiple of 8. Bytes
// are signed after `shift`, as for gemm8.h.
SHARED void winograd8_input(const int8_t *x, int32_t x_h, int32_t x_w, int32_t channels, int32_t shift, int16_t *to,
                            int32_t step) {
  const v128_t turn = wasm_i8x16_splat((int8_t)shift);
#define WINOGRAD8_LOAD(P) wasm_i16x8_extend_low_i8x16(wasm_v128_xor(wasm_v128_load64_zero(P), turn))
#define WINOGRAD8_STORE(P, V, I, J) wasm_v128_store(P, V)
  COMPACT_LOOP for (int32_t c = 0; c < channels; c += 8)
    WINOGRAD_TRANSFORM(WINOGRAD_PATCH, winograd8_input_row, WINOGRAD8_LOAD, x + c, x_h, x_w, WINOGRAD8_STORE, to + c, step);
}

// Three taps in a row to the values at six points: to[step * point].
INLINE void winograd8_filter_row(v128_t g0, v128_t g1, v128_t g2, int16_t *to, int32_t step) {
  const v128_t even_1 = wasm_i16x8_add(g0, g2), even_2 = wasm_i16x8_add(g0, wasm_i16x8_shl(g2, 2));
  const v128_t odd_2 = wasm_i16x8_shl(g1, 1);
  wasm_v128_store(to, g0);
  wasm_v128_store(to + step, wasm_i16x8_add(even_1, g1));
  wasm_v128_store(to + 2 * step, wasm_i16x8_sub(even_1, g1));
  wasm_v128_store(to + 3 * step, wasm_i16x8_add(even_2, odd_2));
  wasm_v128_store(to + 4 * step, wasm_i16x8_sub(even_2, odd_2));
  wasm_v128_store(to + 5 * step, g2);
}

// The two rows of points at 1 and -1 or, with the power 1, at 2 and -2.
INLINE void winograd8_filter_rows(const v128_t *g, uint32_t power, int16_t *to, int32_t step) {
  v128_t plus[3], minus[3];
  UNROLLED for (int32_t j = 0; j < 3; j++) {
    const v128_t odd = wasm_i16x8_shl(g[3 + j], power);
    const v128_t even = wasm_i16x8_add(wasm_i16x8_shl(g[6 + j], 2 * power), g[j]);
    plus[j] = wasm_i16x8_add(even, odd);
    minus[j] = wasm_i16x8_sub(even, odd);
  }
  winograd8_filter_row(plus[0], plus[1], plus[2], to, step);
  winograd8_filter_row(minus[0], minus[1], minus[2], to + WINOGRAD_PATCH * step, step);
  IN_ORDER;
}

// to[point * step + ...] = the points of `depth` channels of a panel of 8 filters, [3][3][channels / 4][8][4], with `tap`
// from one of the nine to the next, as words for gemm8_words_block: [channels / 2][8][2].
SHARED void winograd8_filter(const int8_t *g, int32_t tap, int32_t depth, int16_t *to, int32_t step) {
  const int32_t row = WINOGRAD_PATCH * step;
  COMPACT_LOOP for (int32_t c = 0; c < 8 * depth; c += 16, g += 16) {
    v128_t taps[2][9];
    COMPACT_LOOP for (int32_t t = 0; t < 9; t++) {
      const v128_t v = gemm8_in_pairs(wasm_v128_load(g + t * tap));
      taps[0][t] = wasm_i16x8_extend_low_i8x16(v);
      taps[1][t] = wasm_i16x8_extend_high_i8x16(v);
    }
    COMPACT_LOOP for (int32_t half = 0; half < 2; half++) {
      const v128_t *of = taps[half];
      int16_t *p = to + (c & -32) + (c & 16) / 2 + 16 * half;
      winograd8_filter_row(of[0], of[1], of[2], p, step);
      winograd8_filter_rows(of, 0, p + row, step);
      winograd8_filter_rows(of, 1, p + 3 * row, step);
      winograd8_filter_row(of[6], of[7], of[8], p + 5 * row, step);
    }
  }
}

// The sums at six points to four outputs in a row, times 24, 12, 6 and 6.
INLINE void winograd8_output_row(v128_t m0, v128_t m1, v128_t m2, v128_t m3, v128_t m4, v128_t m5, v128_t *to,
                                 int32_t step) {
  const v128_t six = wasm_i32x4_const_splat(6);
  const v128_t even_1 = wasm_i32x4_add(m1, m2), odd_1 = wasm_i32x4_sub(m1, m2);
  const v128_t even_2 = wasm_i32x4_add(m3, m4), odd_2 = wasm_i32x4_sub(m3, m4);
  to[0] = wasm_i32x4_add(wasm_i32x4_mul(m0, six), wasm_i32x4_sub(even_2, wasm_i32x4_shl(even_1, 2)));
  to[step] = wasm_i32x4_sub(odd_2, wasm_i32x4_shl(odd_1, 1));
  to[2 * step] = wasm_i32x4_sub(even_2, even_1);
  to[3 * step] = wasm_i32x4_add(wasm_i32x4_mul(m5, six), wasm_i32x4_sub(wasm_i32x4_shl(odd_2, 1), odd_1));
}

// block[(i * 4 + j) * block_row + n] = start[n] + output (i, j) of a tile whose sums are at m[point * step + n], for
// n < columns, a multiple of 4.
SHARED void winograd8_output(const int32_t *m, int32_t step, int32_t columns, const int32_t *start, int32_t *block,
                             int32_t block_row) {
  const v128_t ninth = wasm_i32x4_const_splat(WINOGRAD8_NINTH);
#define WINOGRAD8_TWOS(I) ((I) < 2 ? 3 - (uint32_t)(I) : 1)  // of 24, 12, 6 and 6
#define WINOGRAD8_WHOLE(V, I, J) wasm_i32x4_shr(wasm_i32x4_mul(V, ninth), WINOGRAD8_TWOS(I) + WINOGRAD8_TWOS(J))
#define WINOGRAD8_ADD(P, V, I, J) wasm_v128_store(P, wasm_i32x4_add(WINOGRAD8_WHOLE(V, I, J), begin))
  COMPACT_LOOP for (int32_t n = 0; n < columns; n += 4) {
    const v128_t begin = wasm_v128_load(start + n);
    WINOGRAD_TRANSFORM(WINOGRAD_TILE, winograd8_output_row, wasm_v128_load, m + n, WINOGRAD_PATCH * step, step,
                       WINOGRAD8_ADD, block + n, block_row);
  }
}
