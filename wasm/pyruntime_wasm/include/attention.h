// Softmax by blocks of keys ("online": Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018):
// a row keeps its largest score, the sum of exp(score - largest) and, scaled alike, the sum of values.

#pragma once
#include "gemm.h"
#include "vmath.h"

// the least finite number: rows whose scores are all minus infinity are taken relative to it, and sum up to 0
#define ATTENTION_LEAST (-3.40282347e38f)

typedef struct {
  float *score;  // [rows][score_row]: scores, which become weights; columns up to a multiple of 8
  int32_t score_row, rows, columns;
  const float *block_most;  // the largest score of each row of this block
  float *most, *total;      // of all blocks so far
  float *sum;               // [rows][sum_row], sum_row a multiple of 8
  int32_t sum_row;
} Softmax;

// exp(x) for x <= 0 as 2^n 2^r with |r| <= 1/2, zero where that would be subnormal. Its relative error is at most
// 2^-22.5 - x 2^-23: exp(x) makes up for the second term, as a row's largest weight is 1.
INLINE f32x4 attention_exp(f32x4 x) {
  f32x4 t = wasm_f32x4_pmax(wasm_f32x4_mul(x, K(1.44269504f)), K(-127.0f)), base = K(12582912.0f + 127);
  i32x4 bits = wasm_f32x4_add(t, base);  // n + 127 at the end of the mantissa; -127 makes 2^n zero
  f32x4 r = wasm_f32x4_sub(t, wasm_f32x4_sub(bits, base));
  f32x4 p = f32x4_fma(r, K(1.32647273e-03f), K(9.67151299e-03f));
  p = f32x4_fma(r, p, K(5.55073358e-02f));
  p = f32x4_fma(r, p, K(2.40222424e-01f));
  p = f32x4_fma(r, p, K(6.93147004e-01f));
  p = f32x4_fma(r, p, K(1.0f));
  return wasm_f32x4_mul(p, wasm_i32x4_shl(bits, 23));
}

// Weights of one more block of keys, and what was summed before, if this is not the first, on the same scale.
SHARED void attention_softmax(const Softmax *s, int32_t first) {
  for (int32_t i = 0; i < s->rows; i++) {
    float *score = s->score + i * s->score_row, *sum = s->sum + i * s->sum_row;
    const float before = s->most[i], now = s->block_most[i] > before ? s->block_most[i] : before;
    const f32x4 most = wasm_f32x4_pmax(f32x4_splat(now), f32x4_splat(ATTENTION_LEAST));
    f32x4 total = f32x4_splat(0), other = total;
    COMPACT_LOOP for (int32_t j = 0; j < s->columns; j += 8) {
      f32x4 w0 = attention_exp(f32x4_sub(f32x4_load(score + j), most));
      f32x4 w1 = attention_exp(f32x4_sub(f32x4_load(score + j + 4), most));
      f32x4_store(score + j, w0);
      f32x4_store(score + j + 4, w1);
      total = f32x4_add(total, w0);
      other = f32x4_add(other, w1);
    }
    const float added = f32x4_horizontal_add(f32x4_add(total, other));
    s->most[i] = now;
    if (first) {
      s->total[i] = added;
    } else if (now == before) {
      s->total[i] += added;
    } else {
      const f32x4 scale = attention_exp(f32x4_sub(f32x4_splat(before), most));
      s->total[i] = f32x4_first(scale) * s->total[i] + added;
      COMPACT_LOOP for (int32_t j = 0; j < s->sum_row; j += 4)
        f32x4_store(sum + j, f32x4_mul(f32x4_load(sum + j), scale));
    }
  }
}

// out[rows][columns] = sum / total; with `safe` zeros where total is 0, as for want of keys.
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
