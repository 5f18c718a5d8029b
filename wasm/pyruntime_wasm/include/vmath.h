// Elementary functions on f32x4. Bounds in units in the last place (ulp), checked by tests/wasm/test_math.py:
//   pow, log 1; exp 1.01; sigmoid of trees.py 2.5; asin, tan 3; tanh 6.1; erf 7.7; the other ones of angles, the
//   hyperbolic ones and their inverses 2. Those of exp and tanh are of all floats, in both variants;
//   erf was swept from 2^-14 to 4, sigmoid from 2^-25 to 64 in size.
// NaN gives NaN, infinities and signed zeros follow C's Annex F, and results overflow and underflow gradually.
// silu 4, or 4e-37 below -87: what is smaller is zero.

#pragma once
#include "simd.h"

#define F(x) wasm_f32x4_const_splat(x)
// The same read from memory: an engine makes a constant anew wherever it is used, by several instructions.
#define K(x)                                                                                          \
  ({                                                                                                  \
    static const float constant = x;                                                                  \
    f32x4_read(&constant);                                                                            \
  })
INLINE f32x4 f32x4_read(const float *p) {
  __asm__("" : "+r"(p));  // the compiler must not know what is there
  return f32x4_load_splat(p);
}
#define I(x) wasm_i32x4_const_splat(x)
#define SIGN_BIT I((int32_t)0x80000000)
#define MAGNITUDE_BITS I(0x7fffffff)
#define INFINITY_BITS I(0x7f800000)
#define QUIET_NAN I(0x7fc00000)

// magnitude with the sign of s
INLINE f32x4 f32x4_copysign(f32x4 magnitude, f32x4 s) {
  return wasm_v128_or(wasm_v128_and(magnitude, MAGNITUDE_BITS), wasm_v128_and(s, SIGN_BIT));
}
INLINE b32x4 f32x4_is_nan(f32x4 x) { return wasm_f32x4_ne(x, x); }
INLINE b32x4 f32x4_is_inf(f32x4 x) { return wasm_i32x4_eq(wasm_v128_and(x, MAGNITUDE_BITS), INFINITY_BITS); }
INLINE f32x4 f32x4_sign(f32x4 x) {
  f32x4 unit = f32x4_copysign(F(1.0f), x);
  // NaN stays; adding takes the sign from zero
  return f32x4_select(wasm_f32x4_gt(wasm_f32x4_abs(x), F(0.0f)), unit, wasm_f32x4_add(x, F(0.0f)));
}

// exp(x) / 2^n, within sqrt(1/2) to sqrt(2), for the integer n nearest to x / ln 2, |n| < 2^21. Added to 3 * 2^22,
// n stands at the end of the mantissa: `base` is that number and an offset, *bits in its last bits n and the offset.
INLINE f32x4 f32x4_exp_reduced(f32x4 x, f32x4 base, i32x4 *bits) {
  *bits = f32x4_fma(x, K(1.44269504f), base);
  f32x4 n = wasm_f32x4_sub(*bits, base);
  f32x4 r = f32x4_fnma(n, K(0.693359375f), x);
  r = f32x4_fnma(n, K(-2.12194440e-4f), r);
  f32x4 p = f32x4_fma(r, K(1.381314476e-03f), K(8.369418792e-03f));
  p = f32x4_fma(r, p, K(4.166845605e-02f));
  p = f32x4_fma(r, p, K(1.666651517e-01f));
  p = f32x4_fma(r, p, K(4.999999404e-01f));
  return f32x4_add(f32x4_fma(wasm_f32x4_mul(r, r), p, r), K(1.0f));
}

// exp(x) * 2^BIAS for |BIAS| < 8, in two factors, so that neither the largest nor the subnormal results leave the
// exponent's range early
#define EXP_SCALED(NAME, BIAS)                                                                        \
  static inline f32x4 NAME(f32x4 x) {                                                                 \
    i32x4 whole;                                                                                      \
    x = wasm_f32x4_pmin(wasm_f32x4_pmax(x, K(-110.0f)), K(100.0f));                                   \
    f32x4 p = f32x4_exp_reduced(x, K(12582912.0f + 254 + (BIAS)), &whole);                            \
    i32x4 half = wasm_u32x4_shr(whole, 1);                                                            \
    f32x4 first = wasm_i32x4_shl(half, 23), second = wasm_i32x4_shl(wasm_i32x4_sub(whole, half), 23); \
    return wasm_f32x4_mul(wasm_f32x4_mul(p, first), second);                                          \
  }
EXP_SCALED(f32x4_exp, 0)
EXP_SCALED(f32x4_exp_half, -1)

// Vectors side by side read each constant once, and one fills the multiplier while the others wait: two take a third
// less time, four half as much again. Functions NAME_each take n of them, BESIDE at most, in place. OPAQUE, as compilers
// else compute one after the other, and keep constants for which there are no registers.
#define BESIDE 4
#define EACH(DO)                                                                                      \
  UNROLLED for (int i = 0; i < n; i++) {                                                              \
    DO;                                                                                               \
  }
// One step of Horner's rule for a polynomial p in s.
#define HORNER(FMA, P, C)                                                                             \
  {                                                                                                   \
    const f32x4 k = K(C);                                                                             \
    EACH(P[i] = FMA(s[i], P[i], k); OPAQUE(P[i]))                                                     \
  }
#define ALONE(NAME)                             \
  static inline f32x4 f32x4_##NAME(f32x4 x) {   \
    f32x4_##NAME##_each(&x, 1);                 \
    return x;                                   \
  }

// x / (1 + exp(-x)). The exponential is 1 or rounds to it, and infinite, where its exponent ends.
INLINE void f32x4_silu_each(f32x4 *x, const int n) {
  f32x4 s[BESIDE], p[BESIDE];
  i32x4 bits[BESIDE];
  const f32x4 least = K(-89.0f), most = K(87.0f), turns = K(-1.44269504f), base = K(12582912.0f + 127);
  EACH(s[i] = wasm_f32x4_pmin(wasm_f32x4_pmax(x[i], least), most); bits[i] = f32x4_fma(s[i], turns, base);
       OPAQUE(bits[i]))
  // t + n ln 2, which is -r of f32x4_exp_reduced
  const f32x4 high = K(0.693359375f), low = K(2.12194440e-4f);
  EACH(p[i] = wasm_f32x4_sub(bits[i], base); s[i] = f32x4_fnma(p[i], low, f32x4_fma(p[i], high, s[i]));
       OPAQUE(s[i]))
  const f32x4 p0 = K(1.381314476e-03f), p1 = K(8.369418792e-03f);
  EACH(p[i] = f32x4_fnma(s[i], p0, p1); OPAQUE(p[i]))
  HORNER(f32x4_fnma, p, 4.166845605e-02f)
  HORNER(f32x4_fnma, p, 1.666651517e-01f)
  HORNER(f32x4_fnma, p, 4.999999404e-01f)
  const f32x4 one = K(1.0f);
  EACH(p[i] = f32x4_fma(wasm_f32x4_mul(s[i], s[i]), p[i], wasm_f32x4_sub(one, s[i]));
       x[i] = wasm_f32x4_div(x[i], f32x4_fma(p[i], wasm_i32x4_shl(bits[i], 23), one)))
}
ALONE(silu)

static inline f32x4 f32x4_log(f32x4 x) {
  b32x4 subnormal = wasm_f32x4_lt(x, F(1.17549435e-38f));
  f32x4 scaled = f32x4_select(subnormal, wasm_f32x4_mul(x, F(8388608.0f)), x);
  // mantissa in [sqrt(1/2), sqrt(2))
  i32x4 bits = wasm_i32x4_sub(scaled, I(0x3f3504f3));
  f32x4 e = wasm_f32x4_convert_i32x4(wasm_i32x4_shr(bits, 23));
  e = wasm_f32x4_sub(e, wasm_v128_and(subnormal, F(23.0f)));
  f32x4 f = wasm_i32x4_add(wasm_v128_and(bits, I(0x7fffff)), I(0x3f3504f3));
  f = wasm_f32x4_sub(f, F(1.0f));
  f32x4 p = f32x4_fma(f, K(6.746640801e-02f), K(-1.167565212e-01f));
  p = f32x4_fma(f, p, K(1.188816205e-01f));
  p = f32x4_fma(f, p, K(-1.240558922e-01f));
  p = f32x4_fma(f, p, K(1.421955228e-01f));
  p = f32x4_fma(f, p, K(-1.666799635e-01f));
  p = f32x4_fma(f, p, K(2.000211924e-01f));
  p = f32x4_fma(f, p, K(-2.500000894e-01f));
  p = f32x4_fma(f, p, K(3.333331347e-01f));
  f32x4 square = wasm_f32x4_mul(f, f);
  f32x4 tail = wasm_f32x4_mul(wasm_f32x4_mul(square, f), p);
  tail = f32x4_fma(e, K(-2.12194440e-4f), tail);
  tail = f32x4_fnma(square, K(0.5f), tail);
  f32x4 y = f32x4_fma(e, K(0.693359375f), wasm_f32x4_add(f, tail));
  y = f32x4_select(wasm_f32x4_eq(x, INFINITY_BITS), x, y);
  y = f32x4_select(wasm_f32x4_eq(x, F(0.0f)), wasm_v128_or(SIGN_BIT, INFINITY_BITS), y);
  // negative or NaN
  return f32x4_select(wasm_f32x4_ge(x, F(0.0f)), y, QUIET_NAN);
}

// log(1 + x)
INLINE f32x4 f32x4_log1p(f32x4 x) {
  f32x4 u = wasm_f32x4_add(x, F(1.0f));
  // what rounding took from u, to first order; not at the ends, where it is 0/0 or inf - inf
  f32x4 lost = wasm_f32x4_div(wasm_f32x4_sub(x, wasm_f32x4_sub(u, F(1.0f))), u);
  b32x4 inside = wasm_v128_and(wasm_f32x4_gt(u, F(0.0f)), wasm_f32x4_lt(u, INFINITY_BITS));
  return wasm_f32x4_add(f32x4_log(u), wasm_v128_and(lost, inside));
}

// tanh and erf are x P(x^2) / Q(x^2), P and Q fitted to the least relative error up to a bound, beyond which they stay
// as they are there: 1, in both variants. P is done before Q begins: four vectors of x, x^2 and one of them are what
// registers hold.
#define RATIO_BEGIN(BOUND, P0, P1)                                                                    \
  f32x4 s[BESIDE], p[BESIDE];                                                                         \
  const f32x4 most = K(BOUND), least = K(-BOUND);                                                     \
  EACH(x[i] = wasm_f32x4_pmax(wasm_f32x4_pmin(x[i], most), least); s[i] = wasm_f32x4_mul(x[i], x[i])) \
  RATIO_POLYNOMIAL(P0, P1)
#define RATIO_POLYNOMIAL(P0, P1)                                                                      \
  {                                                                                                   \
    const f32x4 p0 = K(P0), p1 = K(P1);                                                               \
    EACH(p[i] = f32x4_fma(s[i], p0, p1); OPAQUE(p[i]))                                                \
  }
#define RATIO_OVER(Q0, Q1)                                                                            \
  EACH(x[i] = wasm_f32x4_mul(x[i], p[i]); OPAQUE(x[i]))                                               \
  RATIO_POLYNOMIAL(Q0, Q1)
#define RATIO_END                                                                                     \
  const f32x4 one = K(1.0f), minus = K(-1.0f);                                                        \
  EACH(x[i] = wasm_f32x4_pmax(wasm_f32x4_pmin(wasm_f32x4_div(x[i], p[i]), one), minus))

INLINE void f32x4_tanh_each(f32x4 *x, const int n) {
  RATIO_BEGIN(9.02782f, 1.331779e-08f, 2.0582558e-05f)
  HORNER(f32x4_fma, p, 3.4939793e-03f)
  HORNER(f32x4_fma, p, 1.3379672e-01f)
  HORNER(f32x4_fma, p, 1.0f)
  RATIO_OVER(7.761494e-07f, 3.2830017e-04f)
  HORNER(f32x4_fma, p, 2.5870865e-02f)
  HORNER(f32x4_fma, p, 4.671299e-01f)
  HORNER(f32x4_fma, p, 1.0f)
  RATIO_END
}

INLINE void f32x4_erf_each(f32x4 *x, const int n) {
  RATIO_BEGIN(3.832f, 2.2901212e-04f, 3.4030941e-03f)
  HORNER(f32x4_fma, p, 5.093947e-02f)
  HORNER(f32x4_fma, p, 1.850726e-01f)
  HORNER(f32x4_fma, p, 1.1283791e+00f)
  RATIO_OVER(-1.18091855e-07f, 2.355998e-05f)
  HORNER(f32x4_fma, p, 1.0168854e-03f)
  HORNER(f32x4_fma, p, 1.4059793e-02f)
  HORNER(f32x4_fma, p, 1.1093055e-01f)
  HORNER(f32x4_fma, p, 4.97349e-01f)
  HORNER(f32x4_fma, p, 1.0e+00f)
  RATIO_END
}

ALONE(tanh)
ALONE(erf)

// ---- sin, cos, tan: x = r + quadrant * pi/2 with |r| <= pi/4

typedef struct {
  f32x4 r;
  i32x4 quadrant;
} reduced;

// |x| * 2/pi modulo 4 in fixed point, by 96 bits of 2/pi from where they begin to matter; 2^27 <= |x| < inf
NOINLINE float reduce_large(float x, int32_t *quadrant) {
  static const uint32_t digits[8] = {0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                     0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};
  uint32_t bits = (uint32_t)wasm_i32x4_extract_lane(wasm_f32x4_splat(x), 0);
  uint32_t exponent = (bits >> 23 & 0xff) - 150;  // |x| = mantissa * 2^exponent, exponent >= 4
  uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
  uint32_t from = exponent - 2, word = from >> 5, shift = from & 31;  // the first bit has weight 2^1
  uint64_t high = (uint64_t)digits[word] << 32 | digits[word + 1];
  uint64_t low = (uint64_t)digits[word + 2] << 32 | digits[word + 3];
  if (shift) {
    high = high << shift | low >> (64 - shift);
    low = low << shift;
  }
  // in units of 2^-62; what is worth 4 and more falls off
  uint64_t turns = mantissa * high + (mantissa * (low >> 32) >> 32);
  uint64_t nearest = (turns + (1ull << 61)) >> 62;
  double r = (double)(int64_t)(turns - (nearest << 62)) * (1.5707963267948966 / 4611686018427387904.0);
  *quadrant = bits >> 31 ? -(int32_t)nearest : (int32_t)nearest;
  return (float)(bits >> 31 ? -r : r);
}

INLINE v128_t reduce_two(v128_t x, v128_t *whole) {
  v128_t n = wasm_f64x2_nearest(wasm_f64x2_mul(x, wasm_f64x2_const_splat(0.6366197723675814)));
  // pi/2 in two parts, the first of 25 bits: n times it is exact
  v128_t r = wasm_f64x2_sub(x, wasm_f64x2_mul(n, wasm_f64x2_const_splat(1.57079631090164184570e+00)));
  *whole = wasm_i32x4_trunc_sat_f64x2_zero(n);
  r = wasm_f64x2_sub(r, wasm_f64x2_mul(n, wasm_f64x2_const_splat(1.58932547735281966916e-08)));
  return wasm_f32x4_demote_f64x2_zero(r);
}

NOINLINE reduced reduce_quadrant(f32x4 x) {
  v128_t first, second;
  v128_t low = reduce_two(wasm_f64x2_promote_low_f32x4(x), &first);
  v128_t high = reduce_two(wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(x, x, 2, 3, 0, 1)), &second);
  reduced result = {wasm_i64x2_shuffle(low, high, 0, 2), wasm_i64x2_shuffle(first, second, 0, 2)};
  b32x4 large = wasm_f32x4_ge(wasm_f32x4_abs(x), F(134217728.0f));
  if (b32x4_any(large)) {
    float in[4], r[4];
    int32_t quadrant[4];
    wasm_v128_store(in, x);
    wasm_v128_store(r, result.r);
    wasm_v128_store(quadrant, result.quadrant);
    for (int lane = 0; lane < 4; lane++) {
      float magnitude = __builtin_fabsf(in[lane]);
      if (magnitude >= 134217728.0f && magnitude < __builtin_inff())
        r[lane] = reduce_large(in[lane], &quadrant[lane]);
    }
    result.r = wasm_v128_load(r);
    result.quadrant = wasm_v128_load(quadrant);
    result.r = f32x4_select(f32x4_is_inf(x), QUIET_NAN, result.r);
  }
  return result;
}

INLINE f32x4 sin_small(f32x4 r) {
  f32x4 z = wasm_f32x4_mul(r, r);
  f32x4 p = f32x4_fma(z, K(2.718311634e-06f), K(-1.983933471e-04f));
  p = f32x4_fma(z, p, K(8.333329111e-03f));
  p = f32x4_fma(z, p, K(-1.666666716e-01f));
  return f32x4_fma(wasm_f32x4_mul(z, r), p, r);
}
INLINE f32x4 cos_small(f32x4 r) {
  f32x4 z = wasm_f32x4_mul(r, r);
  f32x4 p = f32x4_fma(z, K(2.443845187e-05f), K(-1.388736768e-03f));
  p = f32x4_fma(z, p, K(4.166664556e-02f));
  p = f32x4_fma(wasm_f32x4_mul(z, z), p, wasm_f32x4_mul(z, K(-0.5f)));
  return wasm_f32x4_add(p, F(1.0f));
}
INLINE b32x4 is_odd(i32x4 quadrant) { return wasm_i32x4_ne(wasm_v128_and(quadrant, I(1)), I(0)); }

INLINE f32x4 sine_of(f32x4 r, i32x4 quadrant) {
  f32x4 y = f32x4_select(is_odd(quadrant), cos_small(r), sin_small(r));
  return wasm_v128_xor(y, wasm_i32x4_shl(wasm_v128_and(quadrant, I(2)), 30));
}
NOINLINE f32x4 f32x4_sin(f32x4 x) {
  reduced a = reduce_quadrant(x);
  // -0 is lost in the reduction
  return f32x4_select(wasm_f32x4_eq(x, F(0.0f)), x, sine_of(a.r, a.quadrant));
}
NOINLINE f32x4 f32x4_cos(f32x4 x) {
  reduced a = reduce_quadrant(x);
  return sine_of(a.r, wasm_i32x4_add(a.quadrant, I(1)));
}
NOINLINE f32x4 f32x4_tan(f32x4 x) {
  reduced a = reduce_quadrant(x);
  b32x4 odd = is_odd(a.quadrant);
  f32x4 s = sin_small(a.r), c = cos_small(a.r);
  f32x4 numerator = f32x4_select(odd, wasm_f32x4_neg(c), s);
  f32x4 y = wasm_f32x4_div(numerator, f32x4_select(odd, s, c));
  return f32x4_select(wasm_f32x4_eq(x, F(0.0f)), x, y);
}

// ---- inverse trigonometric and hyperbolic functions

// atan(x) for 0 <= x <= 1
INLINE f32x4 atan_unit(f32x4 x) {
  f32x4 z = wasm_f32x4_mul(x, x);
  f32x4 p = f32x4_fma(z, K(-1.827213564e-03f), K(1.106444374e-02f));
  p = f32x4_fma(z, p, K(-3.145570680e-02f));
  p = f32x4_fma(z, p, K(5.823455751e-02f));
  p = f32x4_fma(z, p, K(-8.419460058e-02f));
  p = f32x4_fma(z, p, K(1.095757633e-01f));
  p = f32x4_fma(z, p, K(-1.426524520e-01f));
  p = f32x4_fma(z, p, K(1.999863833e-01f));
  p = f32x4_fma(z, p, K(-3.333330154e-01f));
  return f32x4_fma(wasm_f32x4_mul(z, x), p, x);
}
#define PI F(3.14159265f)
#define HALF_PI F(1.57079633f)

NOINLINE f32x4 f32x4_atan(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x);
  b32x4 large = wasm_f32x4_gt(t, F(1.0f));
  f32x4 y = atan_unit(f32x4_select(large, wasm_f32x4_div(F(1.0f), t), t));
  y = f32x4_select(large, wasm_f32x4_sub(HALF_PI, y), y);
  return f32x4_copysign(y, x);
}
NOINLINE f32x4 f32x4_atan2(f32x4 y, f32x4 x) {
  f32x4 ty = wasm_f32x4_abs(y), tx = wasm_f32x4_abs(x);
  f32x4 large = wasm_f32x4_max(ty, tx), small = wasm_f32x4_min(ty, tx);
  f32x4 ratio = wasm_f32x4_div(small, large);
  ratio = f32x4_select(wasm_f32x4_eq(large, F(0.0f)), F(0.0f), ratio);
  ratio = f32x4_select(wasm_f32x4_eq(small, INFINITY_BITS), F(1.0f), ratio);
  f32x4 angle = atan_unit(ratio);
  angle = f32x4_select(wasm_f32x4_gt(ty, tx), wasm_f32x4_sub(HALF_PI, angle), angle);
  angle = f32x4_select(wasm_i32x4_lt(x, I(0)), wasm_f32x4_sub(PI, angle), angle);
  return f32x4_copysign(angle, y);
}

// asin(x) for |x| <= 1/2
INLINE f32x4 asin_half(f32x4 x) {
  f32x4 z = wasm_f32x4_mul(x, x);
  f32x4 p = f32x4_fma(z, K(3.756521642e-02f), K(1.440259721e-02f));
  p = f32x4_fma(z, p, K(3.181761503e-02f));
  p = f32x4_fma(z, p, K(4.451572150e-02f));
  p = f32x4_fma(z, p, K(7.500510663e-02f));
  p = f32x4_fma(z, p, K(1.666665971e-01f));
  return f32x4_fma(wasm_f32x4_mul(z, x), p, x);
}
// 2 * asin(sqrt((1 - t) / 2)), that is acos(t), for t > 1/2
INLINE f32x4 acos_near_one(f32x4 t) {
  f32x4 root = wasm_f32x4_sqrt(wasm_f32x4_mul(wasm_f32x4_sub(F(1.0f), t), F(0.5f)));
  f32x4 half = asin_half(root);
  return wasm_f32x4_add(half, half);
}
NOINLINE f32x4 f32x4_asin(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x);
  f32x4 large = f32x4_copysign(wasm_f32x4_sub(HALF_PI, acos_near_one(t)), x);
  return f32x4_select(wasm_f32x4_gt(t, F(0.5f)), large, asin_half(x));
}
NOINLINE f32x4 f32x4_acos(f32x4 x) {
  f32x4 large = acos_near_one(wasm_f32x4_abs(x));
  large = f32x4_select(wasm_f32x4_lt(x, F(0.0f)), wasm_f32x4_sub(PI, large), large);
  f32x4 small = wasm_f32x4_sub(HALF_PI, asin_half(x));
  return f32x4_select(wasm_f32x4_gt(wasm_f32x4_abs(x), F(0.5f)), large, small);
}

NOINLINE f32x4 f32x4_sinh(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x);
  f32x4 z = wasm_f32x4_mul(x, x);
  f32x4 p = f32x4_fma(z, K(2.817439508e-06f), K(1.983606635e-04f));
  p = f32x4_fma(z, p, K(8.333350532e-03f));
  p = f32x4_fma(z, p, K(1.666666716e-01f));
  f32x4 small = f32x4_fma(wasm_f32x4_mul(z, x), p, x);
  f32x4 half = f32x4_exp_half(t);  // exp(t) / 2, finite a little longer than exp(t)
  f32x4 large = wasm_f32x4_sub(half, wasm_f32x4_div(F(0.25f), half));
  return f32x4_select(wasm_f32x4_lt(t, F(1.0f)), small, f32x4_copysign(large, x));
}
NOINLINE f32x4 f32x4_cosh(f32x4 x) {
  f32x4 half = f32x4_exp_half(wasm_f32x4_abs(x));
  return wasm_f32x4_add(half, wasm_f32x4_div(F(0.25f), half));
}
NOINLINE f32x4 f32x4_asinh(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x);
  f32x4 z = wasm_f32x4_mul(t, t);
  f32x4 root = wasm_f32x4_sqrt(wasm_f32x4_add(z, F(1.0f)));
  f32x4 small = f32x4_log1p(wasm_f32x4_add(t, wasm_f32x4_div(z, wasm_f32x4_add(root, F(1.0f)))));
  f32x4 large = wasm_f32x4_add(f32x4_log(t), F(0.693147181f));
  return f32x4_copysign(f32x4_select(wasm_f32x4_gt(t, F(4096.0f)), large, small), x);
}
NOINLINE f32x4 f32x4_acosh(f32x4 x) {
  f32x4 t = wasm_f32x4_sub(x, F(1.0f));
  f32x4 root = wasm_f32x4_sqrt(f32x4_fma(t, t, wasm_f32x4_add(t, t)));
  f32x4 large = wasm_f32x4_add(f32x4_log(x), F(0.693147181f));
  f32x4 y = f32x4_select(wasm_f32x4_gt(x, F(4096.0f)), large, f32x4_log1p(wasm_f32x4_add(t, root)));
  return f32x4_select(wasm_f32x4_lt(x, F(1.0f)), QUIET_NAN, y);
}
NOINLINE f32x4 f32x4_atanh(f32x4 x) {
  f32x4 t = wasm_f32x4_abs(x);
  f32x4 ratio = wasm_f32x4_div(wasm_f32x4_add(t, t), wasm_f32x4_sub(F(1.0f), t));
  return f32x4_copysign(wasm_f32x4_mul(f32x4_log1p(ratio), F(0.5f)), x);
}

// ---- pow: exp2(y * log2(|x|)) in double precision, then the special cases

INLINE v128_t pow_two(v128_t x, v128_t y) {
#define D(x) wasm_f64x2_const_splat(x)
  // mantissa in [sqrt(1/2), sqrt(2)), log2 by the series of atanh; zero and infinity come out far enough off
  v128_t bits = wasm_i64x2_sub(x, wasm_i64x2_const_splat(0x3fe6a09e667f3bcd));
  v128_t whole = wasm_i64x2_shr(bits, 52);
  v128_t m = wasm_v128_and(bits, wasm_i64x2_const_splat(0xfffffffffffff));
  m = wasm_i64x2_add(m, wasm_i64x2_const_splat(0x3fe6a09e667f3bcd));
  v128_t s = wasm_f64x2_div(wasm_f64x2_sub(m, D(1.0)), wasm_f64x2_add(m, D(1.0)));
  v128_t z = wasm_f64x2_mul(s, s);
  v128_t p = D(2.0 / 15);
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 13));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 11));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 9));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 7));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 5));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0 / 3));
  p = wasm_f64x2_add(wasm_f64x2_mul(p, z), D(2.0));
  v128_t e = wasm_f64x2_convert_low_i32x4(wasm_i32x4_shuffle(whole, whole, 0, 2, 0, 2));
  v128_t log2 = wasm_f64x2_add(e, wasm_f64x2_mul(wasm_f64x2_mul(s, p), D(1.4426950408889634)));
  // beyond 300 a float has long overflowed or vanished; min and max keep NaN
  v128_t t = wasm_f64x2_mul(y, log2);
  t = wasm_f64x2_min(wasm_f64x2_max(t, D(-300.0)), D(300.0));
  v128_t n = wasm_f64x2_nearest(t);
  v128_t r = wasm_f64x2_mul(wasm_f64x2_sub(t, n), D(0.6931471805599453));
  v128_t q = D(1.0 / 362880);
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 40320));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 5040));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 720));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 120));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 24));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0 / 6));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(0.5));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0));
  q = wasm_f64x2_add(wasm_f64x2_mul(q, r), D(1.0));
  v128_t scale = wasm_i64x2_extend_low_i32x4(wasm_i32x4_trunc_sat_f64x2_zero(n));
  scale = wasm_i64x2_shl(wasm_i64x2_add(scale, wasm_i64x2_const_splat(1023)), 52);
  return wasm_f32x4_demote_f64x2_zero(wasm_f64x2_mul(q, scale));
#undef D
}

NOINLINE f32x4 f32x4_pow(f32x4 x, f32x4 y) {
  f32x4 t = wasm_f32x4_abs(x);
  f32x4 swapped_t = wasm_i32x4_shuffle(t, t, 2, 3, 0, 1), swapped_y = wasm_i32x4_shuffle(y, y, 2, 3, 0, 1);
  f32x4 low = pow_two(wasm_f64x2_promote_low_f32x4(t), wasm_f64x2_promote_low_f32x4(y));
  f32x4 high = pow_two(wasm_f64x2_promote_low_f32x4(swapped_t), wasm_f64x2_promote_low_f32x4(swapped_y));
  f32x4 result = wasm_i64x2_shuffle(low, high, 0, 2);
  b32x4 growing = wasm_v128_xor(wasm_f32x4_gt(t, F(1.0f)), wasm_f32x4_lt(y, F(0.0f)));
  b32x4 extreme = wasm_v128_or(wasm_f32x4_eq(t, F(0.0f)), f32x4_is_inf(t));
  extreme = wasm_v128_or(extreme, f32x4_is_inf(y));
  result = f32x4_select(extreme, wasm_v128_and(growing, INFINITY_BITS), result);
  b32x4 whole = wasm_f32x4_eq(wasm_f32x4_nearest(y), y);
  f32x4 half = wasm_f32x4_mul(y, F(0.5f));
  b32x4 odd = wasm_v128_andnot(whole, wasm_f32x4_eq(wasm_f32x4_nearest(half), half));
  result = wasm_v128_xor(result, wasm_v128_and(wasm_v128_and(x, SIGN_BIT), odd));
  b32x4 finite_negative = wasm_v128_and(wasm_f32x4_lt(x, F(0.0f)), wasm_f32x4_lt(t, INFINITY_BITS));
  result = f32x4_select(wasm_v128_andnot(finite_negative, whole), QUIET_NAN, result);
  result = f32x4_select(wasm_v128_or(f32x4_is_nan(x), f32x4_is_nan(y)), QUIET_NAN, result);
  b32x4 one = wasm_v128_and(wasm_f32x4_eq(t, F(1.0f)), f32x4_is_inf(y));
  one = wasm_v128_or(one, wasm_v128_or(wasm_f32x4_eq(x, F(1.0f)), wasm_f32x4_eq(y, F(0.0f))));
  return f32x4_select(one, F(1.0f), result);
}
