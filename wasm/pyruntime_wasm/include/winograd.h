// 3x3 convolutions of stride 1 as products of transformed tiles, F(4x4, 3x3): 36 products for 16 outputs, which take
// 144 otherwise. The 36 are values of polynomials at the points 0, +-3/4, +-3/2 and infinity, in both directions:
// these points lose about half a decimal, where the usual +-1, +-2 lose more than one (see winograd.py).
//
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; for the points, Barabasz et al., "Error
// Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020.

#pragma once
#include "gemm.h"
#include "window.h"
#include "winograd_tile.h"

#define WINOGRAD_A 0.75f
#define WINOGRAD_B 1.5f
#define WINOGRAD_SQUARE(x) ((x) * (x))
#define WINOGRAD_CONST(x) wasm_f32x4_const_splat(x)
// the derivative of x (x - A)(x + A)(x - B)(x + B) at 0, +-A and +-B
#define WINOGRAD_AT_0 (WINOGRAD_SQUARE(WINOGRAD_A) * WINOGRAD_SQUARE(WINOGRAD_B))
#define WINOGRAD_AT_A (2 * WINOGRAD_SQUARE(WINOGRAD_A) * (WINOGRAD_SQUARE(WINOGRAD_A) - WINOGRAD_SQUARE(WINOGRAD_B)))
#define WINOGRAD_AT_B (2 * WINOGRAD_SQUARE(WINOGRAD_B) * (WINOGRAD_SQUARE(WINOGRAD_B) - WINOGRAD_SQUARE(WINOGRAD_A)))
#define WINOGRAD_AT(POINT, POWER) WINOGRAD_CONST((POWER) / WINOGRAD_AT_##POINT)

#define WINOGRAD_STORE(P, V, I, J) f32x4_store(P, V)

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
  COMPACT_LOOP for (int32_t c = 0; c < channels; c += 4)
    WINOGRAD_TRANSFORM(WINOGRAD_PATCH, winograd_input_row, f32x4_load, x + c, x_h, x_w, WINOGRAD_STORE, to + c, step);
}

// Three taps in a row to the values at six points, which winograd_output_row scales: to[step * point].
INLINE void winograd_filter_row(f32x4 g0, f32x4 g1, f32x4 g2, float *to, int32_t step) {
  const f32x4 a = WINOGRAD_CONST(WINOGRAD_A), b = WINOGRAD_CONST(WINOGRAD_B);
  const f32x4 even_a = f32x4_fma(WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_A)), g2, g0);
  const f32x4 even_b = f32x4_fma(WINOGRAD_CONST(WINOGRAD_SQUARE(WINOGRAD_B)), g2, g0);
  f32x4_store(to, g0);
  f32x4_store(to + step, f32x4_fma(a, g1, even_a));
  f32x4_store(to + 2 * step, f32x4_fnma(a, g1, even_a));
  f32x4_store(to + 3 * step, f32x4_fma(b, g1, even_b));
  f32x4_store(to + 4 * step, f32x4_fnma(b, g1, even_b));
  f32x4_store(to + 5 * step, g2);
}

// The two rows of points at x and -x. Taps are loaded anew for each pair of rows: all nine, the constants and what is
// made of them are more than x86 has registers.
INLINE void winograd_filter_rows(const float *g, int32_t tap, float x, float *to, int32_t step) {
  f32x4 plus[3], minus[3];
  UNROLLED for (int32_t j = 0; j < 3; j++) {
    const f32x4 g1 = f32x4_load(g + (3 + j) * tap);
    const f32x4 even = f32x4_fma(f32x4_splat(x * x), f32x4_load(g + (6 + j) * tap), f32x4_load(g + j * tap));
    plus[j] = f32x4_fma(f32x4_splat(x), g1, even);
    minus[j] = f32x4_fnma(f32x4_splat(x), g1, even);
  }
  winograd_filter_row(plus[0], plus[1], plus[2], to, step);
  winograd_filter_row(minus[0], minus[1], minus[2], to + WINOGRAD_PATCH * step, step);
  IN_ORDER;
}

// to[point * step + c * 8 + n] = the points of `depth` channels of a panel of 8 filters, [3][3][channels][8], with `tap`
// from one of the nine to the next.
SHARED void winograd_filter(const float *g, int32_t tap, int32_t depth, float *to, int32_t step) {
  const int32_t row = WINOGRAD_PATCH * step;
  COMPACT_LOOP for (int32_t c = 0; c < 8 * depth; c += 4, g += 4, to += 4) {
    winograd_filter_row(f32x4_load(g), f32x4_load(g + tap), f32x4_load(g + 2 * tap), to, step);
    winograd_filter_rows(g, tap, WINOGRAD_A, to + row, step);
    winograd_filter_rows(g, tap, WINOGRAD_B, to + 3 * row, step);
    winograd_filter_row(f32x4_load(g + 6 * tap), f32x4_load(g + 7 * tap), f32x4_load(g + 8 * tap), to + 5 * row, step);
  }
}

// The sums at six points to four outputs in a row; divides by the derivatives, which filters are not.
INLINE void winograd_output_row(f32x4 m0, f32x4 m1, f32x4 m2, f32x4 m3, f32x4 m4, f32x4 m5, f32x4 *to, int32_t step) {
  const f32x4 even_a = f32x4_add(m1, m2), odd_a = f32x4_sub(m1, m2);
  const f32x4 even_b = f32x4_add(m3, m4), odd_b = f32x4_sub(m3, m4);
  const f32x4 first = f32x4_fma(WINOGRAD_AT(A, 1), even_a, f32x4_mul(WINOGRAD_CONST(1 / WINOGRAD_AT_0), m0));
  to[0] = f32x4_fma(WINOGRAD_AT(B, 1), even_b, first);
  to[step] = f32x4_fma(WINOGRAD_AT(B, WINOGRAD_B), odd_b, f32x4_mul(WINOGRAD_AT(A, WINOGRAD_A), odd_a));
  to[2 * step] = f32x4_fma(WINOGRAD_AT(B, WINOGRAD_SQUARE(WINOGRAD_B)), even_b,
                           f32x4_mul(WINOGRAD_AT(A, WINOGRAD_SQUARE(WINOGRAD_A)), even_a));
  to[3 * step] = f32x4_fma(WINOGRAD_AT(B, WINOGRAD_B * WINOGRAD_SQUARE(WINOGRAD_B)), odd_b,
                           f32x4_fma(WINOGRAD_AT(A, WINOGRAD_A * WINOGRAD_SQUARE(WINOGRAD_A)), odd_a, m5));
}

// block[(i * 4 + j) * block_row + n] = output (i, j) of a tile whose sums are at m[point * step + n], for n < columns,
// a multiple of 4.
SHARED void winograd_output(const float *m, int32_t step, int32_t columns, float *block, int32_t block_row) {
  COMPACT_LOOP for (int32_t n = 0; n < columns; n += 4)
    WINOGRAD_TRANSFORM(WINOGRAD_TILE, winograd_output_row, f32x4_load, m + n, WINOGRAD_PATCH * step, step,
                       WINOGRAD_STORE, block + n, block_row);
}
