// Elementary functions of double precision without a C library, within 1e-14 of the result's magnitude.
//
// Few models compute in double precision: short loops are preferred to speed.

#pragma once
#include "simd.h"

INLINE uint64_t f64_bits(double x) {
  uint64_t u;
  __builtin_memcpy(&u, &x, 8);
  return u;
}
INLINE double f64_of_bits(uint64_t u) {
  double x;
  __builtin_memcpy(&x, &u, 8);
  return x;
}
#define F64_NAN __builtin_nan("")
#define F64_INF __builtin_inf()
#define F64_HALF_PI 1.5707963267948966

// C's fmod: exact, with the sign of x
NOINLINE double f64_rem(double x, double y) {
  double t = __builtin_fabs(x), d = __builtin_fabs(y);
  if (!(t < F64_INF) || !(d > 0)) return F64_NAN;
  if (d == F64_INF) return x;
  while (t >= d) {
    // d * 2^k, the largest with t / 2 < d * 2^k <= t, has no more bits than d: each difference is exact
    uint64_t k = (f64_bits(t) >> 52) - (f64_bits(d) >> 52);
    double s = d;
    if (f64_bits(d) >> 52 && k) s = f64_of_bits(f64_bits(d) + (k << 52));
    if (!(f64_bits(d) >> 52))
      while (s + s <= t) s += s;
    if (s > t) s *= 0.5;
    t -= s;
  }
  return __builtin_copysign(t, x);
}
// Python's %: the sign of y
INLINE double f64_mod(double x, double y) {
  double r = f64_rem(x, y);
  if (r == 0) return __builtin_copysign(0.0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

// x * 2^n
INLINE double f64_scale(double x, int32_t n) {
  int32_t half = n >> 1;
  return x * f64_of_bits((uint64_t)(half + 1023) << 52) * f64_of_bits((uint64_t)(n - half + 1023) << 52);
}

// exp(x) - 1 where |x| <= 0.35, else exp(x) scaled by 2^bias, less one where `less` is set
NOINLINE double f64_exponential(double x, int32_t bias, int less) {
  if (x != x) return x;
  x = x > 800 ? 800 : x < -800 ? -800 : x;
  double n = __builtin_rint(x * 1.4426950408889634);
  double r = x - n * 6.93147180369123816490e-01 - n * 1.90821492927058770002e-10;
  double p = 0;
  for (int k = 14; k > 0; k--) p = (p + 1) * r / k;
  if (n == 0 && less) return p;
  return f64_scale(p + 1, (int32_t)n + bias) - less;
}
INLINE double f64_exp(double x) { return f64_exponential(x, 0, 0); }

NOINLINE double f64_log(double x) {
  if (!(x > 0)) return x == 0 ? -F64_INF : F64_NAN;
  if (x == F64_INF) return x;
  double scale = x < 2.2250738585072014e-308 ? 54 : 0;
  uint64_t u = f64_bits(scale != 0 ? x * 18014398509481984.0 : x) - 0x3fe6a09e667f3bcdull;
  double e = (double)((int64_t)u >> 52) - scale;
  double f = f64_of_bits((u & 0xfffffffffffffull) + 0x3fe6a09e667f3bcdull) - 1;
  double s = f / (2 + f), z = s * s, p = 0;
  for (int k = 23; k > 1; k -= 2) p = (p + 1.0 / k) * z;
  // log(1 + f) = 2 s + 2 s p, and 2 s = f - s f
  return e * 6.93147180369123816490e-01 + (f - (s * f - (2 * s * p + e * 1.90821492927058770002e-10)));
}
INLINE double f64_log1p(double x) {
  double u = 1 + x;
  if (!(u > 0) || u == F64_INF) return f64_log(u);
  return f64_log(u) + (x - (u - 1)) / u;
}

NOINLINE double f64_erf(double x) {
  double t = __builtin_fabs(x), z = x * x, sum = 0;
  if (x != x) return x;
  if (t > 6) return __builtin_copysign(1.0, x);
  if (t < 2.5) {
    // 2/sqrt(pi) exp(-z) x (1 + 2z/3 + (2z)^2/15 + ...): all terms are positive
    for (int k = 60; k > 0; k--) sum = (sum + 1) * (2 * z / (2 * k + 1));
    return 1.1283791670955126 * f64_exp(-z) * x * (sum + 1);
  }
  // erfc by its continued fraction, from the inside out
  for (int k = 80; k > 0; k--) sum = 0.5 * k / (t + sum);
  return __builtin_copysign(1 - f64_exp(-z) * 0.5641895835477563 / (t + sum), x);
}

INLINE double f64_tanh(double x) {
  double t = __builtin_fabs(x);
  double e = f64_exponential(t + t, 0, 1);
  return __builtin_copysign(t > 20 ? 1 : e / (e + 2), x);
}
NOINLINE double f64_sinh(double x) {
  double t = __builtin_fabs(x), y;
  if (t < 1) {
    double e = f64_exponential(t, 0, 1);
    y = 0.5 * (e + e / (e + 1));
  } else {
    double half = f64_exponential(t, -1, 0);
    y = half - 0.25 / half;
  }
  return __builtin_copysign(y, x);
}
NOINLINE double f64_cosh(double x) {
  double half = f64_exponential(__builtin_fabs(x), -1, 0);
  return half + 0.25 / half;
}
NOINLINE double f64_asinh(double x) {
  double t = __builtin_fabs(x);
  double y = t > 1e8 ? f64_log(t) + 0.6931471805599453
                     : f64_log1p(t + t * t / (1 + __builtin_sqrt(t * t + 1)));
  return __builtin_copysign(y, x);
}
NOINLINE double f64_acosh(double x) {
  double t = x - 1;
  if (x > 1e8) return f64_log(x) + 0.6931471805599453;
  return x < 1 ? F64_NAN : f64_log1p(t + __builtin_sqrt(t * t + 2 * t));
}
NOINLINE double f64_atanh(double x) {
  double t = __builtin_fabs(x);
  return __builtin_copysign(0.5 * f64_log1p(2 * t / (1 - t)), x);
}

// sin(x + shift * pi/2); beyond 2^20 digits are lost, as pi/2 stands here in 33 + 53 bits
NOINLINE double f64_sine(double x, int shift) {
  if (!(__builtin_fabs(x) < F64_INF)) return F64_NAN;
  double n = __builtin_rint(x * 0.6366197723675814);
  double r = x - n * 1.57079632673412561417e+00 - n * 6.07710050650619224932e-11;
  int quadrant = (int)(n - 4 * __builtin_floor(n * 0.25)) + shift;
  double z = r * r, p = 1;
  int odd = quadrant & 1;
  for (int k = 20 - odd; k > 1; k -= 2) p = 1 - p * z / (k * (k + 1));
  p = odd ? 1 - p * z * 0.5 : p * r;
  return quadrant & 2 ? -p : p;
}
INLINE double f64_sin(double x) { return x == 0 ? x : f64_sine(x, 0); }
INLINE double f64_cos(double x) { return f64_sine(x, 1); }
INLINE double f64_tan(double x) { return x == 0 ? x : f64_sine(x, 0) / f64_sine(x, 1); }

NOINLINE double f64_atan(double x) {
  double t = __builtin_fabs(x), y = t > 1 ? 1 / t : t;
  // two halvings of the angle bring the argument below 0.2, where the series is short
  for (int k = 0; k < 2; k++) y = y / (1 + __builtin_sqrt(1 + y * y));
  double z = y * y, p = 0;
  for (int k = 25; k > 0; k -= 2) p = 1.0 / k - p * z;
  y = 4 * y * p;
  return __builtin_copysign(t > 1 ? F64_HALF_PI - y : y, x);
}
NOINLINE double f64_atan2(double y, double x) {
  if (x != x || y != y) return F64_NAN;
  double ty = __builtin_fabs(y), tx = __builtin_fabs(x);
  double angle = ty == tx ? (ty == 0 ? 0 : F64_HALF_PI / 2) : f64_atan(ty / tx);
  if (f64_bits(x) >> 63) angle = 2 * F64_HALF_PI - angle;
  return __builtin_copysign(angle, y);
}
INLINE double f64_asin(double x) { return f64_atan2(x, __builtin_sqrt((1 - x) * (1 + x))); }
INLINE double f64_acos(double x) {
  return 2 * f64_atan2(__builtin_sqrt(1 - x), __builtin_sqrt(1 + x));
}

// For results of ordinary size: the error grows with |y * log(x)|, to about 1e-13 near overflow.
NOINLINE double f64_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return F64_NAN;
  double t = __builtin_fabs(x), half = y * 0.5;
  int whole = __builtin_rint(y) == y, odd = whole && __builtin_rint(half) != half, finite = t < F64_INF;
  double r;
  if (t == 1) {
    r = 1;
  } else if (whole && __builtin_fabs(y) <= 16 && finite) {
    double square = y < 0 ? 1 / t : t;
    r = 1;
    for (int n = (int)__builtin_fabs(y); n; n >>= 1, square *= square)
      if (n & 1) r *= square;
  } else {
    r = f64_exp(y * f64_log(t));
  }
  if (!(f64_bits(x) >> 63)) return r;
  if (x < 0 && finite && !whole) return F64_NAN;
  return odd ? -r : r;
}
