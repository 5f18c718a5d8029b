// The left matrix of an f32 convolution as gemm.h reads it: a row per output pixel, a tap per filter row or
// pixel. The input is read in place where its channels are adjacent and the window lies inside it;
// otherwise the part under a block of output pixels is copied first, with zeros around it.

#pragma once
#include "gemm.h"

typedef struct {
  const float *x;
  int32_t x_h, x_w, x_c;  // strides
  int32_t in_h, in_w, channels;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
} ConvInput;

// patch[height][width][channels] = the input from (h, w) on, zero outside it.
SHARED void conv_copy(const ConvInput *in, int32_t h, int32_t w, int32_t height, int32_t width, float *patch) {
  int32_t channels = in->channels, left = w < 0 ? -w : 0, right = in->in_w - w;
  if (left > width) left = width;
  if (right > width) right = width;
  if (right < left) right = left;
  int32_t adjacent = in->x_c == 1 && in->x_w == channels;
  for (; height > 0; height--, h++, patch += width * channels) {
    if (h < 0 || h >= in->in_h || left == right) {
      __builtin_memset(patch, 0, (uint32_t)(width * channels) * 4);
      continue;
    }
    const float *x = in->x + h * in->x_h + (w + left) * in->x_w;
    __builtin_memset(patch, 0, (uint32_t)(left * channels) * 4);
    if (adjacent) gemm_copy(patch + left * channels, 0, x, 0, 1, 1, (right - left) * channels);
    else gemm_copy(patch + left * channels, channels, x, in->x_w, in->x_c, right - left, channels);
    __builtin_memset(patch + right * channels, 0, (uint32_t)((width - right) * channels) * 4);
  }
}

// Set g's rows, taps and depth for the output pixels [oh, oh + height) x [ow, ow + width).
SHARED void conv_rows(const ConvInput *in, int32_t oh, int32_t ow, int32_t height, int32_t width, float *patch,
                      const float **rows, int32_t *taps, Gemm *g) {
  int32_t h = oh * in->stride_h - in->pad_h, w = ow * in->stride_w - in->pad_w;
  int32_t high = (height - 1) * in->stride_h + (in->kernel_h - 1) * in->dilation_h + 1;
  int32_t wide = (width - 1) * in->stride_w + (in->kernel_w - 1) * in->dilation_w + 1;
  int32_t row = in->x_h, pixel = in->x_w, channels = in->channels;
  const float *x = in->x + h * row + w * pixel;
  if ((in->x_c != 1 && channels > 1) || h < 0 || w < 0 || h + high > in->in_h || w + wide > in->in_w) {
    conv_copy(in, h, w, high, wide, patch);
    x = patch;
    pixel = channels;
    row = wide * channels;
  }
  // the pixels of a filter row are one tap where they are adjacent
  int32_t joined = in->dilation_w == 1 && pixel == channels ? in->kernel_w : 1;
  int32_t count = in->kernel_w / joined;
  for (int32_t i = 0; i < in->kernel_h; i++)
    for (int32_t j = 0; j < count; j++) *taps++ = i * in->dilation_h * row + j * in->dilation_w * pixel;
  for (int32_t i = 0; i < height; i++)
    for (int32_t j = 0; j < width; j++) *rows++ = x + i * in->stride_h * row + j * in->stride_w * pixel;
  g->row_count = height * width;
  g->tap_count = in->kernel_h * count;
  g->depth = joined * channels;
}
