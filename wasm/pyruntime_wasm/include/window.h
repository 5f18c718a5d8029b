// Sliding windows along one axis: which taps of a window, and which windows, lie inside the input.

#pragma once
#include "simd.h"

// Loads and stores stay on their side of this: unrolled loops whose values just fit the registers.
#define IN_ORDER __asm__ volatile("" ::: "memory")

// The first tap at or after position 0, for a window that starts at `start`.
INLINE int32_t window_first(int32_t start, int32_t dilation) {
  return start >= 0 ? 0 : (dilation - 1 - start) / dilation;
}

// One past the last tap before position `size`; at most `kernel`, perhaps less than window_first.
INLINE int32_t window_end(int32_t start, int32_t dilation, int32_t kernel, int32_t size) {
  if (start >= size) return 0;
  int32_t taps = (size - start + dilation - 1) / dilation;
  return taps < kernel ? taps : kernel;
}

// Taps in [low, high), for a window that starts at `start`.
INLINE int32_t window_count(int32_t start, int32_t dilation, int32_t kernel, int32_t low, int32_t high) {
  int32_t count = window_end(start - low, dilation, kernel, high - low) - window_first(start - low, dilation);
  return count > 0 ? count : 0;
}

// The first of `out` windows that starts at or after position 0; `out` where none does.
INLINE int32_t window_low(int32_t pad, int32_t stride, int32_t out) {
  int32_t low = pad > 0 ? (pad + stride - 1) / stride : 0;
  return low < out ? low : out;
}

// One past the last of `out` windows of extent `span` that ends before position `size`.
INLINE int32_t window_high(int32_t pad, int32_t stride, int32_t span, int32_t size, int32_t out) {
  int32_t last = size - span + pad;
  if (last < 0) return 0;
  return last / stride < out ? last / stride + 1 : out;
}
