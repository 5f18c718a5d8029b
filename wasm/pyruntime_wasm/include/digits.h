// The fewest decimal digits that are read back as the same floating-point number, by exact arithmetic.
//
// A number is value / unit, and what is read back as it lies within `less` / unit below it and `more` / unit above:
// digits are taken off until what is left is within either (R. G. Burger, R. K. Dybvig, Printing Floating-Point Numbers
// Quickly and Accurately, 1996). `pyruntime.ops.digits` says how they are written. On WebGPU these are host steps.

#pragma once
#include "numerals.h"

#define DIGITS_LIMBS 74  // 2^1076 * 10 and 10^325 * 2^55 have fewer bits
#define DIGITS_MOST 17   // of a float64

// as in pyruntime.ops.digits
typedef struct { int32_t precision, least; } digits_format;

SHARED void digits_twofold(numeral_big *n, int32_t times) {
  for (; times > 0; times -= 16) numeral_times(n, times < 16 ? 1u << times : 0x10000, 0);
}

SHARED void digits_tenfold(numeral_big *n, int32_t times) {
  for (; times >= 4; times -= 4) numeral_times(n, 10000, 0);
  for (; times > 0; times--) numeral_times(n, 10, 0);
}

// The sign of a + b - c.
SHARED int digits_compare(const numeral_big *a, const numeral_big *b, const numeral_big *c) {
  int32_t left = 0;  // of the higher limbs, in units of the present one: 1 or -2 decides whatever follows
  const int32_t used = a->used > b->used ? a->used : b->used;
  for (int32_t i = used > c->used ? used : c->used; i-- > 0;) {
    left = left * 0x10000 + (int32_t)(numeral_limb(a, i) + numeral_limb(b, i)) - (int32_t)numeral_limb(c, i);
    if (left > 0) return 1;
    if (left < -1) return -1;
  }
  return left;
}

// n -= by, which is no more than n.
SHARED void digits_take(numeral_big *n, const numeral_big *by) {
  uint32_t borrow = 0;
  for (int32_t i = 0; i < n->used; i++) {
    const uint32_t left = n->limbs[i] - numeral_limb(by, i) - borrow;
    n->limbs[i] = left & 0xffff;
    borrow = left >> 31;
  }
  while (n->used && !n->limbs[n->used - 1]) n->used--;
}

// The digits of significand * 2^power, which is more than 0; `point` is how many of them stand before the point.
SHARED int32_t digits_shortest(uint64_t significand, int32_t power, digits_format f, uint8_t *digits, int32_t *point) {
  uint32_t limbs[4][DIGITS_LIMBS];
  numeral_big value = {limbs[0], 0, 0}, unit = {limbs[1], 0, 0}, more = {limbs[2], 0, 0}, less = {limbs[3], 0, 0};
  const numeral_big none = {limbs[0], 0, 0};
  const int even = !(significand & 1);
  // the number below a power of two is nearer than that above
  const int32_t near = significand == 1ull << (f.precision - 1) && power > f.least - (f.precision - 1);
  for (int32_t shift = 48; shift >= 0; shift -= 16) numeral_times(&value, 0x10000, (significand >> shift) & 0xffff);
  numeral_times(&unit, 1, 1), numeral_times(&more, 1, 1), numeral_times(&less, 1, 1);
  digits_twofold(&value, 1 + near + (power > 0 ? power : 0));
  digits_twofold(&unit, 1 + near + (power < 0 ? -power : 0));
  digits_twofold(&more, near + (power > 0 ? power : 0));
  digits_twofold(&less, power > 0 ? power : 0);
  // log10(2) is 78913 / 2^18. The number is less than 10^place, or than ten times that
  int32_t place = ((63 - __builtin_clzll(significand) + power) * 78913 >> 18) + 1;
  digits_tenfold(&unit, place);
  digits_tenfold(&value, -place), digits_tenfold(&more, -place), digits_tenfold(&less, -place);
  const int reached = digits_compare(&value, &more, &unit) > -even;
  *point = place + reached;
  int32_t count = 0;
  for (int at_once = reached;; at_once = 0) {
    if (!at_once) digits_tenfold(&value, 1), digits_tenfold(&more, 1), digits_tenfold(&less, 1);
    uint8_t digit = 0;
    for (; digits_compare(&value, &none, &unit) >= 0; digit++) digits_take(&value, &unit);
    const int down = digits_compare(&value, &none, &less) < even, up = digits_compare(&value, &more, &unit) > -even;
    if (down || up) {
      const int half = digits_compare(&value, &value, &unit);
      digits[count++] = digit + (up && (!down || half > 0 || (half == 0 && digit & 1)));
      return count;
    }
    digits[count++] = digit;
  }
}

INLINE uint8_t *digits_word(uint8_t *out, const char *word) {
  while (*word) *out++ = (uint8_t)*word++;
  return out;
}

// Writes a number of a sign: significand * 2^power, where `finite`, else infinity, or, with a significand, none.
SHARED void digits_write(int minus, uint64_t significand, int32_t power, int finite, digits_format f, uint8_t *out,
                         int32_t width) {
  uint8_t digits[DIGITS_MOST] = {0}, *const end = out + width;
  int32_t count = 1, point = 1;
  if (minus && (finite || !significand)) *out++ = '-';
  if (!finite) {
    out = digits_word(out, significand ? "NaN" : "INF");
  } else {
    if (significand) count = digits_shortest(significand, power, f, digits, &point);
    const int plain = point > -4 && point <= 16;
    int32_t exponent = point - 1;
    if (!plain) point = 1;
    if (point <= 0) {
      out = digits_word(out, "0.");
      for (int32_t i = point; i < 0; i++) *out++ = '0';
    }
    for (int32_t i = 0; i < count || (plain && i < point); i++) {
      if (i && i == point) *out++ = '.';
      *out++ = '0' + (i < count ? digits[i] : 0);
    }
    if (plain && count <= point) out = digits_word(out, ".0");
    if (!plain) {
      *out++ = 'e';
      *out++ = exponent < 0 ? '-' : '+';
      if (exponent < 0) exponent = -exponent;
      if (exponent > 99) *out++ = '0' + (uint8_t)(exponent / 100);
      *out++ = '0' + (uint8_t)(exponent / 10 % 10);
      *out++ = '0' + (uint8_t)(exponent % 10);
    }
  }
  while (out < end) *out++ = NUMERAL_END;
}

SHARED void digits_of_f32(float x, digits_format f, uint8_t *out, int32_t width) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  const int32_t exponent = bits >> 23 & 255;
  uint64_t significand = bits & 0x7fffff;
  int32_t power = (exponent ? exponent : 1) - 150;
  if (exponent && exponent < 255) significand |= 0x800000;
  if (exponent < 255 && significand) {
    // as the format has it: of so many bits, the last of which counts 2^(least - precision + 1) at least
    const int32_t longer = 64 - __builtin_clzll(significand) - f.precision, lower = f.least - f.precision + 1 - power;
    const int32_t shift = longer > lower ? longer : lower;
    significand >>= shift, power += shift;
  }
  digits_write((int)(bits >> 31), significand, power, exponent < 255, f, out, width);
}

SHARED void digits_of_f64(double x, digits_format f, uint8_t *out, int32_t width) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  const int32_t exponent = bits >> 52 & 2047;
  uint64_t significand = bits & 0xfffffffffffffull;
  if (exponent && exponent < 2047) significand |= 1ull << 52;
  digits_write((int)(bits >> 63), significand, (exponent ? exponent : 1) - 1075, exponent < 2047, f, out, width);
}
