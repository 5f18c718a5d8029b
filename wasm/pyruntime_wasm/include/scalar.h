// Scalar forms of every function of pyruntime/ir/scalar.py, called <class>_<function>.
//
// Classes: b32 (0 or 1), i8 to i64, u8 to u64, f32 (which also computes for half precision), f64.
// Integers wrap (compiled with -fwrapv); division by zero gives 0; shifts by the width or more shift all out.

#pragma once
#include "f64.h"
#include "vmath.h"

typedef int b32;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef float f32;
typedef double f64;

#define COMPARISONS(T)                                                                                \
  INLINE b32 T##_eq(T x, T y) { return x == y; }                                                        \
  INLINE b32 T##_ne(T x, T y) { return x != y; }                                                        \
  INLINE b32 T##_lt(T x, T y) { return x < y; }                                                         \
  INLINE b32 T##_le(T x, T y) { return x <= y; }                                                        \
  INLINE b32 T##_gt(T x, T y) { return x > y; }                                                         \
  INLINE b32 T##_ge(T x, T y) { return x >= y; }                                                        \
  INLINE T T##_select(b32 c, T x, T y) { return c ? x : y; }
#define ARITHMETIC(T)                                                                                 \
  COMPARISONS(T)                                                                                      \
  INLINE T T##_add(T x, T y) { return (T)(x + y); }                                                   \
  INLINE T T##_sub(T x, T y) { return (T)(x - y); }                                                   \
  INLINE T T##_mul(T x, T y) { return (T)(x * y); }                                                   \
  INLINE T T##_neg(T x) { return (T)-x; }

// DIV guards what the machine would trap on
#define INTEGERS(T, BITS, MINUS_ONE, LOW, HIGH)                                                       \
  ARITHMETIC(T)                                                                                       \
  INLINE T T##_min(T x, T y) { return x < y ? x : y; }                                                \
  INLINE T T##_max(T x, T y) { return x > y ? x : y; }                                                \
  INLINE T T##_abs(T x) { return x < (T)1 && x ? (T)-x : x; }                                         \
  INLINE T T##_sign(T x) { return (T)((x > 0) - (x < (T)1 && x)); }                                   \
  INLINE T T##_div(T x, T y) { return y == 0 ? 0 : MINUS_ONE(y) ? (T)-x : (T)(x / y); }               \
  INLINE T T##_rem(T x, T y) { return y == 0 || MINUS_ONE(y) ? 0 : (T)(x % y); }                      \
  INLINE T T##_mod(T x, T y) {                                                                        \
    T r = T##_rem(x, y);                                                                              \
    return r != 0 && (r ^ y) < 0 ? (T)(r + y) : r;                                                    \
  }                                                                                                   \
  INLINE T T##_bit_and(T x, T y) { return (T)(x & y); }                                               \
  INLINE T T##_bit_or(T x, T y) { return (T)(x | y); }                                                \
  INLINE T T##_bit_xor(T x, T y) { return (T)(x ^ y); }                                               \
  INLINE T T##_bit_not(T x) { return (T)~x; }                                                         \
  INLINE T T##_shift_left(T x, T y) { return (uint64_t)y < BITS ? (T)((uint64_t)x << y) : 0; }        \
  INLINE T T##_shift_right(T x, T y) {                                                                \
    return (uint64_t)y < BITS ? (T)(x >> y) : (T)(x >> (BITS - 1) >> 1);                              \
  }                                                                                                   \
  INLINE T T##_from_f64(f64 x) {                                                                      \
    /* HIGH may round up to a power of two, which no value of T reaches */                            \
    return x != x ? 0 : x <= (f64)(LOW) ? (T)(LOW) : x >= (f64)(HIGH) ? (T)(HIGH) : (T)x;             \
  }
#define SIGNED(y) ((y) == -1)
#define UNSIGNED(y) 0
INTEGERS(i8, 8, SIGNED, INT8_MIN, INT8_MAX)
INTEGERS(i16, 16, SIGNED, INT16_MIN, INT16_MAX)
INTEGERS(i32, 32, SIGNED, INT32_MIN, INT32_MAX)
INTEGERS(i64, 64, SIGNED, INT64_MIN, INT64_MAX)
INTEGERS(u8, 8, UNSIGNED, 0, UINT8_MAX)
INTEGERS(u16, 16, UNSIGNED, 0, UINT16_MAX)
INTEGERS(u32, 32, UNSIGNED, 0, UINT32_MAX)
INTEGERS(u64, 64, UNSIGNED, 0, UINT64_MAX)

#define INTEGER_POWER(T)                                                                              \
  NOINLINE T T##_ipow(T x, T n) {                                                                     \
    if (n < 0) return x == 1 ? 1 : x == -1 ? (n & 1 ? -1 : 1) : 0;                                    \
    T y = 1;                                                                                          \
    for (; n; n = (T)(n >> 1), x = (T)(x * x))                                                        \
      if (n & 1) y = (T)(y * x);                                                                      \
    return y;                                                                                         \
  }
INTEGER_POWER(i8)
INTEGER_POWER(i16)
INTEGER_POWER(i32)
INTEGER_POWER(i64)

COMPARISONS(b32)
INLINE b32 b32_and(b32 x, b32 y) { return x & y; }
INLINE b32 b32_or(b32 x, b32 y) { return x | y; }
INLINE b32 b32_xor(b32 x, b32 y) { return x ^ y; }
INLINE b32 b32_not(b32 x) { return !x; }
INLINE b32 b32_min(b32 x, b32 y) { return x & y; }
INLINE b32 b32_max(b32 x, b32 y) { return x | y; }

#define FLOATS(T, SUFFIX)                                                                             \
  ARITHMETIC(T)                                                                                       \
  INLINE T T##_div(T x, T y) { return x / y; }                                                        \
  INLINE T T##_min(T x, T y) { return x != x || x < y ? x : y; }                                      \
  INLINE T T##_max(T x, T y) { return x != x || x > y ? x : y; }                                      \
  INLINE T T##_abs(T x) { return __builtin_fabs##SUFFIX(x); }                                         \
  INLINE T T##_sign(T x) { return x > 0 ? 1 : x < 0 ? -1 : x + 0; }                                   \
  INLINE T T##_floor(T x) { return __builtin_floor##SUFFIX(x); }                                      \
  INLINE T T##_ceil(T x) { return __builtin_ceil##SUFFIX(x); }                                        \
  INLINE T T##_round(T x) { return __builtin_rint##SUFFIX(x); }                                       \
  INLINE T T##_trunc(T x) { return __builtin_trunc##SUFFIX(x); }                                      \
  INLINE T T##_sqrt(T x) { return __builtin_sqrt##SUFFIX(x); }                                        \
  INLINE b32 T##_is_nan(T x) { return x != x; }                                                         \
  INLINE b32 T##_is_inf(T x) { return __builtin_fabs##SUFFIX(x) == __builtin_inf(); }
FLOATS(f32, f)
FLOATS(f64, )

INLINE f32 f32_rem(f32 x, f32 y) { return (f32)f64_rem(x, y); }
INLINE f32 f32_mod(f32 x, f32 y) { return (f32)f64_mod(x, y); }

#define BITCAST(T, S)                                                                                 \
  INLINE T T##_bitcast_##S(S x) {                                                                     \
    T y;                                                                                              \
    __builtin_memcpy(&y, &x, sizeof y);                                                               \
    return y;                                                                                         \
  }
BITCAST(f32, i32)
BITCAST(f32, u32)
BITCAST(i32, f32)
BITCAST(u32, f32)
BITCAST(f64, i64)
BITCAST(f64, u64)
BITCAST(i64, f64)
BITCAST(u64, f64)

// lane 0 of the vector form
#define BY_LANE(NAME)                                                                                 \
  INLINE f32 f32_##NAME(f32 x) { return f32x4_first(f32x4_##NAME(f32x4_splat(x))); }
BY_LANE(exp)
BY_LANE(log)
BY_LANE(erf)
BY_LANE(tanh)
BY_LANE(sin)
BY_LANE(cos)
BY_LANE(tan)
BY_LANE(asin)
BY_LANE(acos)
BY_LANE(atan)
BY_LANE(sinh)
BY_LANE(cosh)
BY_LANE(asinh)
BY_LANE(acosh)
BY_LANE(atanh)
INLINE f32 f32_pow(f32 x, f32 y) { return f32x4_first(f32x4_pow(f32x4_splat(x), f32x4_splat(y))); }
INLINE f32 f32_atan2(f32 y, f32 x) { return f32x4_first(f32x4_atan2(f32x4_splat(y), f32x4_splat(x))); }

// ---- half precision and masks in memory

INLINE f32 f32_from_f16_bits(uint16_t h) {
  return f32x4_first(f32x4_from_f16_bits(wasm_u32x4_make(h, 0, 0, 0)));
}
INLINE uint16_t f16_bits_from_f32(f32 x) {
  return (uint16_t)wasm_i32x4_extract_lane(f16_bits_from_f32x4(f32x4_splat(x)), 0);
}
INLINE f32 f32_round_f16(f32 x) { return f32_from_f16_bits(f16_bits_from_f32(x)); }
