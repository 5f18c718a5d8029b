// Products of states with recurrent weights: few rows, one matrix that is read anew in every step.
//
// The weights lie in panels of 8 units, [panel][k][gate][8], so that one pass over a panel gives all gates of
// its units and reads memory in one stream. Sums lie alike, [row][panel][gate][8].

#pragma once
#include "gemm.h"

// sums[g][j] = sum over k of state[k] * panel[k][g][j] for 8 units j.
// PHASES sums over alternate k, 1, 2 or 4, keep the pipeline of the multiplier full where there are few gates.
// Cranelift does all loads of a basic block before it multiplies: branches end blocks before registers do.
#define RECURRENCE_ROW(NAME, GATES, PHASES)                                                           \
  NOINLINE void NAME(const float *state, const float *panel, int32_t depth, float *sums) {            \
    f32x4 sum[PHASES][2 * GATES];                                                                     \
    int32_t never = 0;                                                                                \
    __asm__("" : "+r"(never)); /* the compiler must not know */                                       \
    for (int p = 0; p < PHASES; p++)                                                                  \
      for (int v = 0; v < 2 * GATES; v++) sum[p][v] = f32x4_splat(0);                                 \
    if (depth > 0)                                                                                    \
      for (int32_t k = depth;; state += 4, panel += 4 * GATES * 8) {                                  \
        RECURRENCE_STEP(0, GATES, 0)                                                                  \
        if (k == 1) break;                                                                            \
        RECURRENCE_STEP(1 % PHASES, GATES, 1)                                                         \
        if (k == 2) break;                                                                            \
        RECURRENCE_STEP(2 % PHASES, GATES, 2)                                                         \
        if (k == 3) break;                                                                            \
        RECURRENCE_STEP(3 % PHASES, GATES, 3)                                                         \
        if ((k -= 4) == 0) break;                                                                     \
      }                                                                                               \
    for (int v = 0; v < 2 * GATES; v++) {                                                             \
      for (int p = 1; p < PHASES; p++) sum[0][v] = f32x4_add(sum[0][v], sum[p][v]);                   \
      f32x4_store(sums + 4 * v, sum[0][v]);                                                           \
    }                                                                                                 \
  }
#define RECURRENCE_STEP(PHASE, GATES, K)                                                              \
  {                                                                                                   \
    const f32x4 s = f32x4_load_splat(state + K);                                                      \
    for (int v = 0; v < 2 * GATES; v++) {                                                             \
      if (v && v % 4 == 0 && never) break;                                                            \
      sum[PHASE][v] = f32x4_fma(s, f32x4_load(panel + K * GATES * 8 + 4 * v), sum[PHASE][v]);         \
    }                                                                                                 \
  }

#define RECURRENCE_BLOCK 48  // rows of a block: whole tiles of 4 and of 6 rows

// sums[rows][panel][gate][8] from state[rows][row], row being the units rounded up to 8, where there are several rows:
// products of gemm.h, a panel's part of 16 KiB at a time.
SHARED void recurrence_rows(const float *state, int32_t rows, int32_t row, int32_t units, const float *panel,
                            int32_t gates, float *sums) {
  const int32_t part = GEMM_DEPTH / gates;
  const float *pointers[RECURRENCE_BLOCK];
  int32_t k;
  Gemm g = {.rows = pointers, .taps = &k, .tap_count = 1, .b_row = 8 * gates, .b_panel = 8, .panel_count = gates,
            .c_row = row * gates};
  for (; rows > 0; rows -= RECURRENCE_BLOCK, state += RECURRENCE_BLOCK * row, sums += RECURRENCE_BLOCK * g.c_row) {
    g.row_count = rows < RECURRENCE_BLOCK ? rows : RECURRENCE_BLOCK;
    for (int32_t i = 0; i < g.row_count; i++) pointers[i] = state + i * row;
    g.b = panel;
    for (int32_t u = 0; u < units; u += 8) {
      g.c = sums + u * gates;
      for (k = 0; k < units; k += g.depth, g.b += g.depth * g.b_row) {
        g.depth = units - k < part ? units - k : part;
        g.add = k > 0;
        gemm_block_direct(&g);
      }
    }
  }
}

// The same, whatever the number of rows; `single` if the call, of which these may be a part, has but one.
#define RECURRENCE_SUMS(NAME, GATES, PHASES)                                                          \
  RECURRENCE_ROW(NAME##_row, GATES, PHASES)                                                           \
  NOINLINE void NAME(const float *state, int32_t rows, int32_t row, int32_t units, const float *panel, \
                     float *sums, int32_t single) {                                                   \
    if (!single) {                                                                                    \
      recurrence_rows(state, rows, row, units, panel, GATES, sums);                                   \
      return;                                                                                         \
    }                                                                                                 \
    for (int32_t u = 0; u < units; u += 8, panel += units * GATES * 8, sums += GATES * 8)             \
      NAME##_row(state, panel, units, sums);                                                          \
  }

// Panels of a weight with any strides, zero beyond its units.
NOINLINE void recurrence_pack(float *panel, const float *weight, int32_t by_k, int32_t by_gate,
                              int32_t by_unit, int32_t units, int32_t gates) {
  for (int32_t u = 0; u < units; u += 8)
    for (int32_t k = 0; k < units; k++)
      for (int32_t g = 0; g < gates; g++)
        COMPACT_LOOP for (int32_t j = u; j < u + 8; j++)
          *panel++ = j < units ? weight[k * by_k + g * by_gate + j * by_unit] : 0.0f;
}

// to[0 .. n-1] = from at a stride
NOINLINE void recurrence_copy(float *to, const float *from, int32_t stride, int32_t n) {
  COMPACT_LOOP for (int32_t i = 0; i < n; i++) to[i] = from[i * stride];
}
