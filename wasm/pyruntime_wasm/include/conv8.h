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

// patch[height][width][channels rounded up] = the input from (h, w) on.
#define CONV8_COPY(NAME, T, X, COPY, FILL)                                                            \
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
      if (in->x_c == 1 && in->x_w == pixel) COPY(patch + left * pixel, 0, x, 0, 1, 1, count * pixel); \
      else COPY(patch + left * pixel, pixel, x, in->x_w, in->x_c, count, channels);                   \
      FILL(patch + right * pixel, (width - right) * pixel);                                           \
    }                                                                                                 \
  }
#define CONV8_BYTES(TO, TO_ROW, FROM, FROM_ROW, FROM_COLUMN, ROWS, COLUMNS) \
  gemm8_copy_bytes(TO, TO_ROW, FROM, FROM_ROW, FROM_COLUMN, ROWS, COLUMNS, in->shift)
#define CONV8_FILL_BYTES(TO, N) __builtin_memset(TO, in->fill + in->shift, (uint32_t)(N))
#define CONV8_FILL_WORDS(TO, N) for (int32_t i = 0; i < (N); i++) (TO)[i] = (int16_t)in->fill
CONV8_COPY(conv8_copy_bytes, int8_t, int8_t, CONV8_BYTES, CONV8_FILL_BYTES)
CONV8_COPY(conv8_copy_i8, int16_t, int8_t, gemm8_copy_i8, CONV8_FILL_WORDS)
CONV8_COPY(conv8_copy_u8, int16_t, uint8_t, gemm8_copy_u8, CONV8_FILL_WORDS)
CONV8_COPY(conv8_copy_i16, int16_t, int16_t, gemm8_copy_i16, CONV8_FILL_WORDS)

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
