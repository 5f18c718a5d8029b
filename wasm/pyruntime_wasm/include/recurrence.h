// Products of states with recurrent weights: few rows, one matrix that is read anew in every step.
//
// The weights lie in panels of 8 units, [panel][k][gate][8], so that one pass over a panel gives all gates of
// its units and reads memory in one stream.

#pragma once
#include "simd.h"

// sums[r][g][j] = sum over k of state[r][k] * panel[k][g][j] for ROWS rows and 4 * VECTORS units j.
// PHASES sums over alternate k keep the pipeline of the multiplier full where there are few others.
#define RECURRENCE_TILE(NAME, GATES, ROWS, VECTORS, PHASES)                                           \
  NOINLINE void NAME(const float *state, int32_t state_row, const float *panel, int32_t depth,        \
                     float *sums, int32_t sums_row, int32_t sums_gate) {                              \
    f32x4 sum[PHASES][ROWS][GATES][VECTORS];                                                          \
    for (int p = 0; p < PHASES; p++)                                                                  \
      for (int r = 0; r < ROWS; r++)                                                                  \
        for (int g = 0; g < GATES; g++)                                                               \
          for (int v = 0; v < VECTORS; v++) sum[p][r][g][v] = f32x4_splat(0);                         \
    int32_t k = depth;                                                                                \
    enum { STEP = PHASES > 2 ? PHASES : 2 };                                                          \
    for (; k >= STEP; k -= STEP, state += STEP, panel += STEP * GATES * 8)                            \
      for (int u = 0; u < STEP; u++) RECURRENCE_STEP(u % PHASES, GATES, ROWS, VECTORS, u)             \
    COMPACT_LOOP for (; k > 0; k--, state++, panel += GATES * 8)                                      \
      RECURRENCE_STEP(0, GATES, ROWS, VECTORS, 0)                                                     \
    for (int r = 0; r < ROWS; r++)                                                                    \
      for (int g = 0; g < GATES; g++)                                                                 \
        for (int v = 0; v < VECTORS; v++) {                                                           \
          for (int p = 1; p < PHASES; p++) sum[0][r][g][v] = f32x4_add(sum[0][r][g][v], sum[p][r][g][v]); \
          f32x4_store(sums + r * sums_row + g * sums_gate + 4 * v, sum[0][r][g][v]);                  \
        }                                                                                             \
  }
#define RECURRENCE_STEP(PHASE, GATES, ROWS, VECTORS, K)                                               \
  {                                                                                                   \
    f32x4 s[ROWS];                                                                                    \
    for (int r = 0; r < ROWS; r++) s[r] = f32x4_load_splat(state + r * state_row + K);                \
    for (int g = 0; g < GATES; g++)                                                                   \
      for (int v = 0; v < VECTORS; v++) {                                                             \
        const f32x4 w = f32x4_load(panel + (K * GATES + g) * 8 + 4 * v);                              \
        for (int r = 0; r < ROWS; r++) sum[PHASE][r][g][v] = f32x4_fma(s[r], w, sum[PHASE][r][g][v]); \
      }                                                                                               \
  }

// sums[batch][GATES][row] from state[batch][row], row being the units rounded up to 8: tiles of ROWS rows and
// 4 * VECTORS units, single rows at the end.
#define RECURRENCE_SUMS(NAME, GATES, ROWS, VECTORS, PHASES)                                           \
  RECURRENCE_TILE(NAME##_rows, GATES, ROWS, VECTORS, 1)                                               \
  RECURRENCE_TILE(NAME##_row, GATES, 1, 2, PHASES)                                                    \
  NOINLINE void NAME(const float *state, int32_t batch, int32_t row, int32_t units, const float *panel, \
                     float *sums) {                                                                   \
    for (int32_t u = 0; u < units; u += 8, panel += units * GATES * 8) {                              \
      int32_t b = 0;                                                                                  \
      for (; b + ROWS <= batch; b += ROWS)                                                            \
        for (int v = 0; v < 2; v += VECTORS)                                                          \
          NAME##_rows(state + b * row, row, panel + 4 * v, units, sums + b * GATES * row + u + 4 * v, \
                      GATES * row, row);                                                              \
      for (; b < batch; b++)                                                                          \
        NAME##_row(state + b * row, row, panel, units, sums + b * GATES * row + u, GATES * row, row); \
    }                                                                                                 \
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
