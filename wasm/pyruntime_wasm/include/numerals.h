// Decimal text to the nearest floating-point number, or to an integer, by exact arithmetic.
//
// A number is digits * 5^e * 2^e. The digits are an integer in limbs of 16 bits, which 5^e multiplies, or divides after
// the integer was shifted so far that enough bits are left of the quotient: floors of quotients by factors one after the
// other are that by their product, and remainders only tell that there is more. Digits past those that a number or a
// midpoint can have tell no more, either. `pyruntime.ops.numerals` has the formats; `numerals.wgsl.j2` is the same.

#pragma once
#include "simd.h"

#define NUMERAL_END 255u
#define NUMERAL_FIVES 6        // 5^6 is the greatest power below 2^16
#define NUMERAL_FAR 100000000  // an exponent that is as good as any greater one

typedef struct { const uint8_t *row; int32_t stride, width; } numeral_text;
// `more`: whether there is something beyond the integer
typedef struct { uint32_t *limbs; int32_t used; uint32_t more; } numeral_big;
// as in pyruntime.ops.numerals.Format; `odd` as in ParseNumber
typedef struct { int32_t precision, least, digits, above, below, odd; } numeral_format;

INLINE uint32_t numeral_at(numeral_text x, int32_t i) { return i < x.width ? x.row[i * x.stride] : NUMERAL_END; }

SHARED int32_t numeral_skip(numeral_text x, int32_t i) {
  while (numeral_at(x, i) == ' ' || numeral_at(x, i) - '\t' < 5) i++;
  return i;
}

// Whether the letters of `word`, the first in its lowest byte, stand at i, in any case.
SHARED int numeral_reads(numeral_text x, int32_t i, uint32_t word) {
  for (; word; word >>= 8, i++)
    if ((numeral_at(x, i) | 0x20) != (word & 255)) return 0;
  return 1;
}

SHARED void numeral_times(numeral_big *n, uint32_t factor, uint32_t carry) {
  for (int32_t i = 0; i < n->used; i++) {
    carry += n->limbs[i] * factor;
    n->limbs[i] = carry & 0xffff;
    carry >>= 16;
  }
  if (carry) n->limbs[n->used++] = carry;
}

SHARED void numeral_over(numeral_big *n, uint32_t divisor) {
  uint32_t left = 0;
  for (int32_t i = n->used; i-- > 0;) {
    left = left << 16 | n->limbs[i];
    n->limbs[i] = left / divisor;
    left %= divisor;
  }
  n->more |= left;
  while (n->used && !n->limbs[n->used - 1]) n->used--;
}

INLINE uint32_t numeral_fives(int32_t left) {
  uint32_t power = 1;
  for (int32_t i = 0; i < left && i < NUMERAL_FIVES; i++) power *= 5;
  return power;
}

INLINE uint32_t numeral_limb(const numeral_big *n, int32_t i) { return i >= 0 && i < n->used ? n->limbs[i] : 0; }

// 32 bits from bit `at` on, which may lie below the integer's first.
SHARED uint32_t numeral_bits(const numeral_big *n, int32_t at) {
  const int32_t i = at >> 4, off = at & 15;
  const uint32_t low = numeral_limb(n, i) | numeral_limb(n, i + 1) << 16;
  return off ? low >> off | numeral_limb(n, i + 2) << (32 - off) : low;
}

INLINE int32_t numeral_length(const numeral_big *n) {
  return n->used ? 16 * n->used - (__builtin_clz(n->limbs[n->used - 1]) - 16) : 0;
}

// Whether there is something below bit `at`.
SHARED uint32_t numeral_below(const numeral_big *n, int32_t at) {
  if (n->more) return 1;
  for (int32_t i = 0; 16 * i < at && i < n->used; i++)
    if (n->limbs[i] & (at - 16 * i < 16 ? (1u << (at - 16 * i)) - 1 : 0xffff)) return 1;
  return 0;
}

// The bits of n * 10^tens, n > 0.
SHARED void numeral_round(numeral_big *n, int32_t tens, const numeral_format *f, uint32_t *out) {
  int32_t shift = 0;
  for (int32_t left = tens; left > 0; left -= NUMERAL_FIVES) numeral_times(n, numeral_fives(left), 0);
  if (tens < 0) {
    // so many limbs that the quotient has two bits more than a number: 5^k has at most 7/3 k + 1 bits
    const int32_t lacking = f->precision + 3 - tens * 7 / 3 - numeral_length(n);
    shift = lacking > 0 ? (lacking + 15) / 16 : 0;
    for (int32_t i = n->used; i-- > 0;) n->limbs[i + shift] = n->limbs[i];
    for (int32_t i = 0; i < shift; i++) n->limbs[i] = 0;
    n->used += shift;
    for (int32_t left = -tens; left > 0; left -= NUMERAL_FIVES) numeral_over(n, numeral_fives(left));
  }
  const int32_t power = tens - 16 * shift;  // of two, that the integer counts
  int32_t top = numeral_length(n) - 1 + power;
  if (top < f->least) top = f->least;
  const int32_t first = top - (f->precision - 1) - power;
  const uint32_t half = numeral_bits(n, first - 1) & 1, rest = numeral_below(n, first - 1);
  uint32_t low = numeral_bits(n, first), high = f->precision > 32 ? numeral_bits(n, first + 32) : 0;
  const uint32_t up = f->odd ? 0 : half & (rest | low);
  if (f->odd) low |= half | rest;
  low += up;
  high += low < up;
  // the hidden bit counts once more in the exponent, and what is rounded up to the next power of two carries
  const uint32_t exponent = (uint32_t)(top - f->least);
  if (f->precision > 32) {
    high += exponent << (f->precision - 33);
    if (high >= 0x7ff00000) high = 0x7ff00000, low = 0;
    out[1] = high;
  } else {
    low += exponent << (f->precision - 1);
    if (low >= 0x7f800000) low = 0x7f800000 - (uint32_t)f->odd;
  }
  out[0] = low;
}

// Reads an exponent behind the digits, if there is one: where it ends.
SHARED int32_t numeral_exponent(numeral_text x, int32_t i, int32_t *tens) {
  if ((numeral_at(x, i) | 0x20) != 'e') return i;
  int32_t at = i + 1, size = 0;
  const int minus = numeral_at(x, at) == '-';
  at += minus || numeral_at(x, at) == '+';
  if (numeral_at(x, at) - '0' > 9) return i;
  for (uint32_t digit; (digit = numeral_at(x, at) - '0') < 10; at++)
    if (size < NUMERAL_FAR) size = size * 10 + (int32_t)digit;
  *tens += minus ? -size : size;
  return at;
}

// The words of the nearest number of a format to a text; NaN for what is none.
SHARED void numeral_float(numeral_text x, numeral_format f, uint32_t *limbs, uint32_t *out) {
  const int32_t last = f.precision > 32;
  const uint32_t infinity = last ? 0x7ff00000 : 0x7f800000, nan = last ? 0x7ff80000 : 0x7fc00000;
  numeral_big n = {limbs, 0, 0};
  int32_t kept = 0, tens = 0, seen = 0, point = 0, i = numeral_skip(x, 0);
  uint32_t part = 0, scale = 1;  // up to four digits that are not in limbs yet
  const uint32_t minus = numeral_at(x, i) == '-';
  i += minus || numeral_at(x, i) == '+';
  for (;; i++) {
    const uint32_t c = numeral_at(x, i), digit = c - '0';
    if (c == '.' && !point) {
      point = 1;
      continue;
    }
    if (digit > 9) break;
    seen = 1;
    tens -= point;
    if (kept == f.digits) {
      n.more |= digit;
      tens++;
    } else if (kept || digit) {
      part = part * 10 + digit;
      scale *= 10;
      kept++;
      if (scale == 10000) numeral_times(&n, scale, part), part = 0, scale = 1;
    }
  }
  numeral_times(&n, scale, part);
  uint32_t bits[2] = {0, 0};
  bits[last] = nan;
  if (seen) {
    i = numeral_exponent(x, i, &tens);
    bits[last] = 0;
    if (kept && kept + tens > f.above) bits[last] = infinity - (uint32_t)f.odd;
    else if (kept && kept + tens > f.below) numeral_round(&n, tens, &f, bits);
    else bits[0] = kept && f.odd;
  } else if (!point && numeral_reads(x, i, 0x666e69)) {  // inf
    bits[last] = infinity;
    i += numeral_reads(x, i + 3, 0x74696e69) && numeral_reads(x, i + 7, 0x79) ? 8 : 3;  // inity
  } else if (!point && numeral_reads(x, i, 0x6e616e)) {  // nan
    i += 3;
  }
  if (numeral_at(x, numeral_skip(x, i)) != NUMERAL_END) bits[0] = 0, bits[last] = nan;
  if (bits[last] != nan) bits[last] |= minus << 31;
  for (int32_t word = 0; word <= last; word++) out[word] = bits[word];
}

// An integer of at most `most`, or, with a sign, at least -most - 1; the least for what is none.
SHARED uint64_t numeral_integer(numeral_text x, uint64_t most, int is_signed) {
  int32_t i = numeral_skip(x, 0);
  const int minus = numeral_at(x, i) == '-';
  i += minus || numeral_at(x, i) == '+';
  const uint64_t limit = !minus ? most : is_signed ? most + 1 : 0;
  uint64_t value = 0;
  int good = numeral_at(x, i) - '0' < 10;
  for (uint32_t digit; (digit = numeral_at(x, i) - '0') < 10; i++) {
    good &= value < limit / 10 || (value == limit / 10 && digit <= limit % 10);
    value = value * 10 + digit;
  }
  good &= numeral_at(x, numeral_skip(x, i)) == NUMERAL_END;
  return good ? (minus ? -value : value) : is_signed ? ~most : 0;
}
