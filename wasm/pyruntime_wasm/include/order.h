// The first of some items in order, by 32-bit keys: bins of the highest digit tell which may be among them, and these
// are sorted by radix.
//
// Keys are unsigned, and whoever comes first has the least; of equal keys the lower number is first. A digit has 11
// bits, so three passes sort, however the keys lie.

#pragma once
#include "simd.h"

#define ORDER_BITS 11
#define ORDER_BINS (1 << ORDER_BITS)
#define ORDER_LEAST 256  // items from which on counting the bins is little

INLINE uint32_t order_of_u32(uint32_t x) { return x; }
INLINE uint32_t order_of_i32(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
// Zeros are equal, and a NaN is equal to a NaN and greater than all else.
INLINE uint32_t order_of_f32(float x) {
  union { float f; int32_t i; } bits = {.f = x + 0.0f};
  return x == x ? (uint32_t)(bits.i ^ (bits.i >> 31 | INT32_MIN)) : UINT32_MAX;
}

// The greatest key that has the same highest digit as the item of this rank, counted from 0.
SHARED uint32_t order_limit(const uint32_t *keys, int32_t count, int32_t rank) {
  int32_t bins[ORDER_BINS] = {0}, bin = 0;
  for (int32_t i = 0; i < count; i++) bins[keys[i] >> (32 - ORDER_BITS)]++;
  while ((rank -= bins[bin]) >= 0) bin++;
  return (uint32_t)(bin + 1) * (1u << (32 - ORDER_BITS)) - 1;
}

// Sorts numbers of items, which are in the order of equal keys, to `out`.
SHARED void order_sort(const uint32_t *keys, int32_t *numbers, int32_t count, int32_t *out) {
  for (int32_t shift = 0; shift < 32; shift += ORDER_BITS) {
    int32_t ends[ORDER_BINS] = {0}, end = 0;
    for (int32_t i = 0; i < count; i++) ends[keys[numbers[i]] >> shift & (ORDER_BINS - 1)]++;
    for (int32_t bin = 0; bin < ORDER_BINS; bin++) {
      const int32_t size = ends[bin];
      ends[bin] = end;
      end += size;
    }
    for (int32_t i = 0; i < count; i++) out[ends[keys[numbers[i]] >> shift & (ORDER_BINS - 1)]++] = numbers[i];
    int32_t *sorted = out;
    out = numbers;
    numbers = sorted;
  }
}

// The numbers of the first `most` of `count` items, and perhaps of others behind them; `spare` and `out` are for `count`.
SHARED void order_first(const uint32_t *keys, int32_t count, int32_t most, int32_t *spare, int32_t *out) {
  if (most <= 0) return;
  const uint32_t limit = most < count ? order_limit(keys, count, most - 1) : UINT32_MAX;
  int32_t found = 0;
  for (int32_t i = 0; i < count; i++) {
    spare[found] = i;
    found += keys[i] <= limit;
  }
  order_sort(keys, spare, found, out);  // in three passes, and so there
}
