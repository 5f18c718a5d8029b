// 3x3 convolutions of stride 1 as products of transformed tiles, F(4x4, 3x3): 36 products for 16 outputs, which take
// 144 otherwise. The 36 are values of polynomials at the points 0, +-3/4, +-3/2 and infinity, in both directions:
// these points lose about half a decimal, where the usual +-1, +-2 lose more than one (see winograd.py).
//
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; for the points, Barabasz et al., "Error
// Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020.

#pragma once
#include "gemm.h"

enum { WINOGRAD_TILE = 4, WINOGRAD_PATCH = 6, WINOGRAD_POINTS = 36 };
#define WINOGRAD_A 0.75f
#define WINOGRAD_B 1.5f
#define WINOGRAD_SQUARE(x) ((x) * (x))
#define WINOGRAD_CONST(x) wasm_f32x4_const_splat(x)
// the derivative of x (x - A)(x + A)(x - B)(x + B) at 0, +-A and +-B
#define WINOGRAD_AT_0 (WINOGRAD_SQUARE(WINOGRAD_A) * WINOGRAD_SQUARE(WINOGRAD_B))
#define WINOGRAD_AT_A (2 * WINOGRAD_SQUARE(WINOGRAD_A) * (WINOGRAD_SQUARE(WINOGRAD_A) - WINOGRAD_SQUARE(WINOGRAD_B)))
#define WINOGRAD_AT_B (2 * WINOGRAD_SQUARE(WINOGRAD_B) * (WINOGRAD_SQUARE(WINOGRAD_B) - WINOGRAD_SQUARE(WINOGRAD_A)))

// Six inputs in a row to six points; `to` may be `from`.
INLINE void winograd_input_row(f32x4 d0, f32x4 d1, f32x4 d2, f32x4 d3, f32x4 d4, f32x4 d5, f32x4 *to, int32_t step) {
  const f32x4 a = WINOGRAD_CONST(WINOGRAD_A), b = WINOGRAD_CONST(WINOGRAD_B);
  const f32x4 aa = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_A)), bb = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_B));
  const f32x4 sum = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_A) + WINOGRAD_SQUARE(WINOGRAD_B));
  const f32x4 product = WINOGRAD_CONST(WINOGRAD_AT_0);
  const f32x4 even_a = f32x4_fnma(bb, d2, d4), odd_a = f32x4_fnma(bb, d1, d3);
  const f32x4 even_b = f32x4_fnma(aa, d2, d4), odd_b = f32x4_fnma(aa, d1, d3);
  to[0] = f32x4_fma(product, d0, f32x4_fnma(sum, d2, d4));
  to[step] = f32x4_fma(a, odd_a, even_a);
  to[2 * step] = f32x4_fnma(a, odd_a, even_a);
  to[3 * step] = f32x4_fma(b, odd_b, even_b);
  to[4 * step] = f32x4_fnma(b, odd_b, even_b);
  to[5 * step] = f32x4_fma(product, d1, f32x4_fnma(sum, d3, d5));
}

// to[point * step + c] = the points of the 6x6 patch at x, for each of `channels` adjacent ones, a multiple of 4.
SHARED void winograd_input(const float *x, int32_t x_h, int32_t x_w, int32_t channels, float *to, int32_t step) {
  COMPACT_LOOP for (int32_t c = 0; c < channels; c += 4) {
    f32x4 points[WINOGRAD_PATCH][WINOGRAD_PATCH], row[WINOGRAD_PATCH];
    COMPACT_LOOP for (int32_t j = 0; j < WINOGRAD_PATCH; j++) {
      const float *p = x + j * x_w + c;
      winograd_input_row(f32x4_load(p), f32x4_load(p + x_h), f32x4_load(p + 2 * x_h), f32x4_load(p + 3 * x_h),
                         f32x4_load(p + 4 * x_h), f32x4_load(p + 5 * x_h), &points[0][j], WINOGRAD_PATCH);
    }
    COMPACT_LOOP for (int32_t i = 0; i < WINOGRAD_PATCH; i++) {
      const f32x4 *d = points[i];
      winograd_input_row(d[0], d[1], d[2], d[3], d[4], d[5], row, 1);
      float *q = to + i * WINOGRAD_PATCH * step + c;
      UNROLLED for (int32_t j = 0; j < WINOGRAD_PATCH; j++) f32x4_store(q + j * step, row[j]);
    }
  }
}

// Three taps in a row to six points.
INLINE void winograd_filter_row(f32x4 g0, f32x4 g1, f32x4 g2, f32x4 *to, int32_t step) {
  const f32x4 aa = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_A)), bb = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_B));
  const f32x4 at_a = WINOGRAD_CONST(1 / WINOGRAD_AT_A), at_b = WINOGRAD_CONST(1 / WINOGRAD_AT_B);
  const f32x4 even_a = f32x4_mul(f32x4_fma(aa, g2, g0), at_a), even_b = f32x4_mul(f32x4_fma(bb, g2, g0), at_b);
  const f32x4 odd_a = WINOGRAD_CONST(WINOGRAD_A / WINOGRAD_AT_A), odd_b = WINOGRAD_CONST(WINOGRAD_B / WINOGRAD_AT_B);
  to[0] = f32x4_mul(g0, WINOGRAD_CONST(1 / WINOGRAD_AT_0));
  to[step] = f32x4_fma(odd_a, g1, even_a);
  to[2 * step] = f32x4_fnma(odd_a, g1, even_a);
  to[3 * step] = f32x4_fma(odd_b, g1, even_b);
  to[4 * step] = f32x4_fnma(odd_b, g1, even_b);
  to[5 * step] = g2;
}

// to[point * step + c * 8 + n] = the points of a panel of 8 filters, [3][3][channels][8].
SHARED void winograd_filter(const float *panel, int32_t channels, float *to, int32_t step) {
  const int32_t tap = 8 * channels;
  COMPACT_LOOP for (int32_t c = 0; c < tap; c += 4) {
    f32x4 points[WINOGRAD_PATCH][3], row[WINOGRAD_PATCH];
    COMPACT_LOOP for (int32_t j = 0; j < 3; j++) {
      const float *g = panel + j * tap + c;
      winograd_filter_row(f32x4_load(g), f32x4_load(g + 3 * tap), f32x4_load(g + 6 * tap), &points[0][j], 3);
    }
    COMPACT_LOOP for (int32_t i = 0; i < WINOGRAD_PATCH; i++) {
      winograd_filter_row(points[i][0], points[i][1], points[i][2], row, 1);
      float *q = to + i * WINOGRAD_PATCH * step + c;
      UNROLLED for (int32_t j = 0; j < WINOGRAD_PATCH; j++) f32x4_store(q + j * step, row[j]);
    }
  }
}

// The sums at six points to four outputs in a row.
INLINE void winograd_output_row(f32x4 m0, f32x4 m1, f32x4 m2, f32x4 m3, f32x4 m4, f32x4 m5, f32x4 *to, int32_t step) {
  const f32x4 a = WINOGRAD_CONST(WINOGRAD_A), b = WINOGRAD_CONST(WINOGRAD_B);
  const f32x4 aa = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_A)), bb = WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_B));
  const f32x4 aaa = WINOGRAD_CONST(WINOGRAD_A * WINOGRAD_SQUARE(WINOGRAD_A));
  const f32x4 bbb = WINOGRAD_CONST(WINOGRAD_B * WINOGRAD_SQUARE(WINOGRAD_B));
  const f32x4 even_a = f32x4_add(m1, m2), odd_a = f32x4_sub(m1, m2);
  const f32x4 even_b = f32x4_add(m3, m4), odd_b = f32x4_sub(m3, m4);
  to[0] = f32x4_add(m0, f32x4_add(even_a, even_b));
  to[step] = f32x4_fma(b, odd_b, f32x4_mul(a, odd_a));
  to[2 * step] = f32x4_fma(bb, even_b, f32x4_mul(aa, even_a));
  to[3 * step] = f32x4_fma(bbb, odd_b, f32x4_fma(aaa, odd_a, m5));
}

// block[(i * 4 + j) * block_row + n] = output (i, j) of a tile whose sums are at m[point * step + n], for n < columns,
// a multiple of 4.
SHARED void winograd_output(const float *m, int32_t step, int32_t columns, float *block, int32_t block_row) {
  COMPACT_LOOP for (int32_t n = 0; n < columns; n += 4) {
    f32x4 points[WINOGRAD_TILE][WINOGRAD_PATCH], row[WINOGRAD_TILE];
    COMPACT_LOOP for (int32_t j = 0; j < WINOGRAD_PATCH; j++) {
      const float *p = m + j * step + n;
      const int32_t down = WINOGRAD_PATCH * step;
      winograd_output_row(f32x4_load(p), f32x4_load(p + down), f32x4_load(p + 2 * down), f32x4_load(p + 3 * down),
                          f32x4_load(p + 4 * down), f32x4_load(p + 5 * down), &points[0][j], WINOGRAD_PATCH);
    }
    COMPACT_LOOP for (int32_t i = 0; i < WINOGRAD_TILE; i++) {
      const f32x4 *d = points[i];
      winograd_output_row(d[0], d[1], d[2], d[3], d[4], d[5], row, 1);
      float *q = block + i * WINOGRAD_TILE * block_row + n;
      UNROLLED for (int32_t j = 0; j < WINOGRAD_TILE; j++) f32x4_store(q + j * block_row, row[j]);
    }
  }
}
