// The left matrix of a convolution of short integers as gemm8.h reads it: a row per output pixel, a tap per row of the
// filter, or per pixel where it is dilated. The input under a block of output pixels is packed first, with what it is
// padded with around it, each pixel's channels rounded up to a multiple of four.

#pragma once
#include "gemm8.h"

typedef struct {
  const void *x;
  int32_t x_h, x_w, x_c;  // strides
  int32_t in_h, in_w, channels;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int32_t fill;   // what it is padded with
  int32_t shift;  // see gemm8_shift
} Conv8Input;

// to[count][4] = the bytes of each pixel of up to four planes, `plane` apart; those beyond `channels` meet zeros, whatever
// they are. Whole vectors: reads up to 15 bytes past the end of a row, and writes as many pixels past it.
#define CONV8_PLANES(NAME, T, STORE)                                                                  \
  SHARED void NAME(T *to, const int8_t *x, int32_t plane, int32_t count, int32_t channels, int32_t shift) { \
    const v128_t added = wasm_i8x16_splat((int8_t)shift);                                              \
    const int8_t *y = x + (channels > 1 ? plane : 0), *z = x + (channels > 2 ? 2 * plane : 0);        \
    const int8_t *u = x + (channels > 3 ? 3 * plane : 0);                                             \
    COMPACT_LOOP for (int32_t j = 0; j < count; j += 16, to += 64) {                                  \
      v128_t a = wasm_i8x16_add(wasm_v128_load(x + j), added), b = wasm_i8x16_add(wasm_v128_load(y + j), added); \
      v128_t c = wasm_i8x16_add(wasm_v128_load(z + j), added), d = wasm_i8x16_add(wasm_v128_load(u + j), added); \
      v128_t ab = CONV8_ZIP_LOW(a, b), cd = CONV8_ZIP_LOW(c, d);                                      \
      STORE(to, CONV8_PAIR_LOW(ab, cd));                                                              \
      STORE(to + 16, CONV8_PAIR_HIGH(ab, cd));                                                        \
      ab = CONV8_ZIP_HIGH(a, b);                                                                      \
      cd = CONV8_ZIP_HIGH(c, d);                                                                      \
      STORE(to + 32, CONV8_PAIR_LOW(ab, cd));                                                         \
      STORE(to + 48, CONV8_PAIR_HIGH(ab, cd));                                                        \
    }                                                                                                 \
  }
#define CONV8_ZIP_LOW(A, B) wasm_i8x16_shuffle(A, B, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define CONV8_ZIP_HIGH(A, B) \
  wasm_i8x16_shuffle(A, B, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define CONV8_PAIR_LOW(A, B) wasm_i16x8_shuffle(A, B, 0, 8, 1, 9, 2, 10, 3, 11)
#define CONV8_PAIR_HIGH(A, B) wasm_i16x8_shuffle(A, B, 4, 12, 5, 13, 6, 14, 7, 15)
#define CONV8_STORE_BYTES(TO, V) wasm_v128_store(TO, V)
#define CONV8_STORE_I8(TO, V)                             \
  do {                                                    \
    wasm_v128_store(TO, wasm_i16x8_extend_low_i8x16(V));  \
    wasm_v128_store((TO) + 8, wasm_i16x8_extend_high_i8x16(V)); \
  } while (0)
#define CONV8_STORE_U8(TO, V)                             \
  do {                                                    \
    wasm_v128_store(TO, wasm_u16x8_extend_low_u8x16(V));  \
    wasm_v128_store((TO) + 8, wasm_u16x8_extend_high_u8x16(V)); \
  } while (0)
CONV8_PLANES(conv8_planes_bytes, int8_t, CONV8_STORE_BYTES)
CONV8_PLANES(conv8_planes_i8, int16_t, CONV8_STORE_I8)
CONV8_PLANES(conv8_planes_u8, int16_t, CONV8_STORE_U8)

// patch[height][width][channels rounded up] = the input from (h, w) on.
#define CONV8_COPY(NAME, T, X, COPY, PLANES, FILL)                                                            \
  SHARED void NAME(const Conv8Input *in, int32_t h, int32_t w, int32_t height, int32_t width, T *patch) { \
    int32_t channels = in->channels, pixel = (channels + 3) & -4;                                     \
    int32_t left = w < 0 ? -w : 0, right = in->in_w - w;                                              \
    if (left > width) left = width;                                                                   \
    if (right > width) right = width;                                                                 \
    if (right < left) right = left;                                                                   \
    for (; height > 0; height--, h++, patch += width * pixel) {                                       \
      if (h < 0 || h >= in->in_h || left == right) {                                                  \
        FILL(patch, width * pixel);                                                                   \
        continue;                                                                                     \
      }                                                                                               \
      const X *x = (const X *)in->x + h * in->x_h + (w + left) * in->x_w;                             \
      int32_t count = right - left;                                                                   \
      FILL(patch, left * pixel);                                                                      \
      /* copies write past their ends: what follows comes after */                                    \
      if (sizeof(X) == 1 && in->x_w == 1 && channels <= 4) PLANES(patch + left * pixel, (const int8_t *)x, count); \
      else if (in->x_c == 1 && in->x_w == pixel) COPY(patch + left * pixel, 0, x, 0, 1, 1, count * pixel); \
      else COPY(patch + left * pixel, pixel, x, in->x_w, in->x_c, count, channels);                   \
      FILL(patch + right * pixel, (width - right) * pixel);                                           \
    }                                                                                                 \
  }
#define CONV8_BYTES(TO, TO_ROW, FROM, FROM_ROW, FROM_COLUMN, ROWS, COLUMNS) \
  gemm8_copy_bytes(TO, TO_ROW, FROM, FROM_ROW, FROM_COLUMN, ROWS, COLUMNS, in->shift)
#define CONV8_FILL_BYTES(TO, N) __builtin_memset(TO, in->fill + in->shift, (uint32_t)(N))
#define CONV8_FILL_WORDS(TO, N) for (int32_t i = 0; i < (N); i++) (TO)[i] = (int16_t)in->fill
#define CONV8_BYTE_PLANES(TO, X, COUNT) conv8_planes_bytes(TO, X, in->x_c, COUNT, channels, in->shift)
#define CONV8_I8_PLANES(TO, X, COUNT) conv8_planes_i8(TO, X, in->x_c, COUNT, channels, 0)
#define CONV8_U8_PLANES(TO, X, COUNT) conv8_planes_u8(TO, X, in->x_c, COUNT, channels, 0)
#define CONV8_NO_PLANES(TO, X, COUNT) (void)0
CONV8_COPY(conv8_copy_bytes, int8_t, int8_t, CONV8_BYTES, CONV8_BYTE_PLANES, CONV8_FILL_BYTES)
CONV8_COPY(conv8_copy_i8, int16_t, int8_t, gemm8_copy_i8, CONV8_I8_PLANES, CONV8_FILL_WORDS)
CONV8_COPY(conv8_copy_u8, int16_t, uint8_t, gemm8_copy_u8, CONV8_U8_PLANES, CONV8_FILL_WORDS)
CONV8_COPY(conv8_copy_i16, int16_t, int16_t, gemm8_copy_i16, CONV8_NO_PLANES, CONV8_FILL_WORDS)

// Set g's rows, taps and depth for height x width output pixels, whose input is in `patch`, in elements of `bytes`.
SHARED void conv8_rows(const Conv8Input *in, int32_t height, int32_t width, const char *patch, int32_t bytes,
                       const void **rows, int32_t *taps, Gemm8 *g) {
  int32_t pixel = (in->channels + 3) & -4;
  int32_t row = ((width - 1) * in->stride_w + (in->kernel_w - 1) * in->dilation_w + 1) * pixel;
  // the pixels of a filter row are one tap where they are adjacent
  int32_t joined = in->dilation_w == 1 ? in->kernel_w : 1, count = in->kernel_w / joined;
  for (int32_t i = 0; i < in->kernel_h; i++)
    for (int32_t j = 0; j < count; j++) *taps++ = i * in->dilation_h * row + j * in->dilation_w * pixel;
  for (int32_t i = 0; i < height; i++)
    for (int32_t j = 0; j < width; j++) *rows++ = patch + (i * in->stride_h * row + j * in->stride_w * pixel) * bytes;
  g->row_count = height * width;
  g->tap_count = in->kernel_h * count;
  g->depth = joined * pixel;
}

// Bytes of each row's taps one after the other in packed[row][taps][depth], which is then all of g. May write up to 15
// past the end.
SHARED void conv8_gather(const void **rows, int32_t *taps, int8_t *packed, Gemm8 *g) {
  const int32_t depth = g->depth;
  for (int32_t i = 0; i < g->row_count; i++) {
    const int8_t *from = rows[i];
    rows[i] = packed;
    for (int32_t t = 0; t < g->tap_count; t++, packed += depth)
      COMPACT_LOOP for (int32_t k = 0; k < depth; k += 16) wasm_v128_store(packed + k, wasm_v128_load(from + taps[t] + k));
  }
  taps[0] = 0;
  g->depth = depth * g->tap_count;
  g->tap_count = 1;
}
