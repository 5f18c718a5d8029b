// What winograd.h and winograd8.h do alike with a tile of F(4x4, 3x3): first its columns are transformed, then its rows.

#pragma once
#include "simd.h"

// Outputs of a tile, inputs under it, and points, in both directions
enum { WINOGRAD_TILE = 4, WINOGRAD_PATCH = 6, WINOGRAD_POINTS = 36 };

// Of 6x6 vectors, (i, j) at FROM + i * DOWN + j * ACROSS, makes COUNT x COUNT, (i, j) at TO + (i * COUNT + j) * STEP. ROW
// is given six vectors in a row and makes COUNT; LOAD(P) loads one, STORE(P, V, I, J) stores that of (I, J).
#define WINOGRAD_TRANSFORM(COUNT, ROW, LOAD, FROM, DOWN, ACROSS, STORE, TO, STEP)                     \
  do {                                                                                                \
    v128_t points[COUNT][WINOGRAD_PATCH], row[COUNT];                                                 \
    COMPACT_LOOP for (int32_t j = 0; j < WINOGRAD_PATCH; j++) {                                       \
      const int32_t at = j * (ACROSS), down = DOWN;                                                   \
      ROW(LOAD((FROM) + at), LOAD((FROM) + at + down), LOAD((FROM) + at + 2 * down),                  \
          LOAD((FROM) + at + 3 * down), LOAD((FROM) + at + 4 * down), LOAD((FROM) + at + 5 * down),   \
          &points[0][j], WINOGRAD_PATCH);                                                             \
    }                                                                                                 \
    COMPACT_LOOP for (int32_t i = 0; i < COUNT; i++) {                                                \
      const v128_t *d = points[i];                                                                    \
      ROW(d[0], d[1], d[2], d[3], d[4], d[5], row, 1);                                                \
      UNROLLED for (int32_t j = 0; j < COUNT; j++)                                                    \
        STORE((TO) + i * COUNT * (STEP) + j * (STEP), row[j], i, j);                                  \
    }                                                                                                 \
  } while (0)
