// Softmax by blocks of keys ("online": Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018):
// a row keeps its largest score, the sum of exp(score - largest) and, scaled alike, the sum of values.

#pragma once
#include "gemm.h"
#include "vmath.h"

// the least finite number: rows whose scores are all minus infinity are taken relative to it, and sum up to 0
#define ATTENTION_LEAST (-3.40282347e38f)

typedef struct {
  float *score;  // [rows][score_row]: scores, which become weights; columns up to a multiple of 4
  int32_t score_row, rows, columns;
  const float *block_most;  // the largest score of each row of this block
  float *most, *total;      // of all blocks so far
  float *sum;               // [rows][sum_row], sum_row a multiple of 8
  int32_t sum_row;
} Softmax;

// exp(x) for x <= 0, as f32x4_exp; zero where the result would be subnormal
INLINE f32x4 attention_exp(f32x4 x) {
  i32x4 power;
  f32x4 p = f32x4_exp_reduced(wasm_f32x4_pmax(x, K(-87.3f)), K(12582912.0f + 127), &power);
  p = wasm_f32x4_mul(p, wasm_i32x4_shl(power, 23));
  return wasm_v128_andnot(p, wasm_f32x4_lt(x, K(-87.3f)));
}

// Weights of one more block of keys, and what was summed before on the same scale.
SHARED void attention_softmax(const Softmax *s) {
  for (int32_t i = 0; i < s->rows; i++) {
    float *score = s->score + i * s->score_row, *sum = s->sum + i * s->sum_row;
    f32x4 before = f32x4_splat(s->most[i]);
    f32x4 most = f32x4_max(f32x4_max(before, f32x4_splat(s->block_most[i])), f32x4_splat(ATTENTION_LEAST));
    f32x4 total = f32x4_splat(0);
    COMPACT_LOOP for (int32_t j = 0; j < s->columns; j += 4) {
      f32x4 weight = attention_exp(f32x4_sub(f32x4_load(score + j), most));
      f32x4_store(score + j, weight);
      total = f32x4_add(total, weight);
    }
    f32x4 scale = attention_exp(f32x4_sub(f32x4_max(before, f32x4_splat(ATTENTION_LEAST)), most));
    s->most[i] = f32x4_first(most);
    s->total[i] = f32x4_first(scale) * s->total[i] + f32x4_horizontal_add(total);
    COMPACT_LOOP for (int32_t j = 0; j < s->sum_row; j += 4)
      f32x4_store(sum + j, f32x4_mul(f32x4_load(sum + j), scale));
  }
}

// out[rows][columns] = sum / total; with `safe` zeros where total is 0.
SHARED void attention_finish(const Softmax *s, float *out, int32_t out_row, int32_t out_column, int32_t columns,
                             int32_t safe) {
  for (int32_t i = 0; i < s->rows; i++, out += out_row) {
    const float *sum = s->sum + i * s->sum_row;
    f32x4 total = f32x4_splat(safe && s->total[i] == 0 ? 1 : s->total[i]);
    COMPACT_LOOP for (int32_t j = 0; j < columns; j += 4) {
      f32x4 value = f32x4_div(f32x4_load(sum + j), total);
      if (out_column == 1) f32x4_store_partial(out + j, value, columns - j);
      else f32x4_scatter(out + j * out_column, out_column, value, columns - j);
    }
  }
}
