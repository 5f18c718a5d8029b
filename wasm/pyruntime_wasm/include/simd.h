// Vectors of four 32-bit lanes: the one layer between the kernels and the intrinsics of a target.
//
// Lane classes, one prefix each: f32x4, i32x4, u32x4, and b32x4, a mask whose lanes are all ones or all
// zeros. Memory forms, with _load, _load_splat, _gather and _store: f32x4, i32x4, u32x4, and the narrower
// f16x4 (as f32x4), i8x4, i16x4 (as i32x4), u8x4, u16x4 (as u32x4), b8x4 (as b32x4).
// Every function of pyruntime/ir/scalar.py that has a vector form is called <class>_<function>.

#pragma once
#include <stdint.h>
#include <wasm_simd128.h>

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline, unused))
// One copy per module, whichever units use it.
#define SHARED __attribute__((weak, noinline))
// Nothing may be moved across, and V is not known.
#define OPAQUE(V) __asm__ volatile("" : "+r"(V))
// A constant that stays in a register: compilers else put it where it is used, and engines make it of several instructions.
#define KEPT(NAME, VALUE)   \
  v128_t NAME = VALUE;      \
  OPAQUE(NAME)
// Loops whose bodies are vectors already gain nothing from copies of themselves.
#define COMPACT_LOOP _Pragma("clang loop unroll(disable) vectorize(disable)")
#define UNROLLED _Pragma("clang loop unroll(full)")

typedef v128_t f32x4;
typedef v128_t i32x4;
typedef v128_t u32x4;
typedef v128_t b32x4;

// ---- f32x4

INLINE f32x4 f32x4_splat(float x) { return wasm_f32x4_splat(x); }
INLINE f32x4 f32x4_load(const float *p) { return wasm_v128_load(p); }
INLINE f32x4 f32x4_load_splat(const float *p) { return wasm_v128_load32_splat(p); }
// The same in two instructions, for Cranelift, which else makes three: the number is loaded to a vector register.
INLINE f32x4 f32x4_load_splat_apart(const float *p) {
  float x = *p;
  __asm__("" : "+r"(x));
  return wasm_f32x4_splat(x);
}
INLINE void f32x4_store(float *p, f32x4 v) { wasm_v128_store(p, v); }
INLINE float f32x4_first(f32x4 v) { return wasm_f32x4_extract_lane(v, 0); }
INLINE f32x4 f32x4_make(float a, float b, float c, float d) { return wasm_f32x4_make(a, b, c, d); }

INLINE f32x4 f32x4_add(f32x4 a, f32x4 b) { return wasm_f32x4_add(a, b); }
INLINE f32x4 f32x4_sub(f32x4 a, f32x4 b) { return wasm_f32x4_sub(a, b); }
INLINE f32x4 f32x4_mul(f32x4 a, f32x4 b) { return wasm_f32x4_mul(a, b); }
INLINE f32x4 f32x4_div(f32x4 a, f32x4 b) { return wasm_f32x4_div(a, b); }
INLINE f32x4 f32x4_neg(f32x4 a) { return wasm_f32x4_neg(a); }
INLINE f32x4 f32x4_abs(f32x4 a) { return wasm_f32x4_abs(a); }
INLINE f32x4 f32x4_sqrt(f32x4 a) { return wasm_f32x4_sqrt(a); }
INLINE f32x4 f32x4_floor(f32x4 a) { return wasm_f32x4_floor(a); }
INLINE f32x4 f32x4_ceil(f32x4 a) { return wasm_f32x4_ceil(a); }
INLINE f32x4 f32x4_trunc(f32x4 a) { return wasm_f32x4_trunc(a); }
INLINE f32x4 f32x4_round(f32x4 a) { return wasm_f32x4_nearest(a); }
// Whether the compiler knows v, and knows that no lane is NaN.
typedef float f32x4_lanes __attribute__((vector_size(16)));
#define F32X4_LANE_KNOWN(v, i)                                                                        \
  (__builtin_constant_p(((f32x4_lanes)(v))[i]) && ((f32x4_lanes)(v))[i] == ((f32x4_lanes)(v))[i])
#define F32X4_KNOWN(v)                                                                                \
  (F32X4_LANE_KNOWN(v, 0) && F32X4_LANE_KNOWN(v, 1) && F32X4_LANE_KNOWN(v, 2) && F32X4_LANE_KNOWN(v, 3))
// NaN if one operand is NaN; either zero where both are zeros. pmin and pmax give `a` where one is NaN: against a known
// bound that is all, otherwise three machine instructions do what may take nine for Wasm's own min and max.
INLINE f32x4 f32x4_min(f32x4 a, f32x4 b) {
  if (F32X4_KNOWN(b)) return wasm_f32x4_pmin(a, b);
  return F32X4_KNOWN(a) ? wasm_f32x4_pmin(b, a) : wasm_v128_or(wasm_f32x4_pmin(a, b), wasm_f32x4_ne(b, b));
}
INLINE f32x4 f32x4_max(f32x4 a, f32x4 b) {
  if (F32X4_KNOWN(b)) return wasm_f32x4_pmax(a, b);
  return F32X4_KNOWN(a) ? wasm_f32x4_pmax(b, a) : wasm_v128_or(wasm_f32x4_pmax(a, b), wasm_f32x4_ne(b, b));
}

// a * b + c and c - a * b, rounded once in the relaxed variant and twice in the other
INLINE f32x4 f32x4_fma(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}
INLINE f32x4 f32x4_fnma(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_nmadd(a, b, c);
#else
  return wasm_f32x4_sub(c, wasm_f32x4_mul(a, b));
#endif
}

// ---- masks

INLINE b32x4 b32x4_splat(int x) { return wasm_i32x4_splat(x ? -1 : 0); }
INLINE b32x4 b32x4_and(b32x4 a, b32x4 b) { return wasm_v128_and(a, b); }
INLINE b32x4 b32x4_or(b32x4 a, b32x4 b) { return wasm_v128_or(a, b); }
INLINE b32x4 b32x4_xor(b32x4 a, b32x4 b) { return wasm_v128_xor(a, b); }
INLINE b32x4 b32x4_not(b32x4 a) { return wasm_v128_not(a); }
INLINE b32x4 b32x4_eq(b32x4 a, b32x4 b) { return wasm_i32x4_eq(a, b); }
INLINE b32x4 b32x4_ne(b32x4 a, b32x4 b) { return wasm_v128_xor(a, b); }
INLINE b32x4 b32x4_lt(b32x4 a, b32x4 b) { return wasm_v128_andnot(b, a); }
INLINE b32x4 b32x4_gt(b32x4 a, b32x4 b) { return wasm_v128_andnot(a, b); }
INLINE b32x4 b32x4_le(b32x4 a, b32x4 b) { return wasm_v128_not(b32x4_gt(a, b)); }
INLINE b32x4 b32x4_ge(b32x4 a, b32x4 b) { return wasm_v128_not(b32x4_lt(a, b)); }
INLINE b32x4 b32x4_min(b32x4 a, b32x4 b) { return wasm_v128_and(a, b); }
INLINE b32x4 b32x4_max(b32x4 a, b32x4 b) { return wasm_v128_or(a, b); }
INLINE int b32x4_any(b32x4 a) { return wasm_v128_any_true(a); }
// lanes 0 to n-1 are set
INLINE b32x4 b32x4_first(int32_t n) {
  return wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat(n));
}

// lanes k with low <= i + k < high are set
INLINE b32x4 b32x4_within(int32_t i, int32_t low, int32_t high) {
  v128_t at = wasm_i32x4_add(wasm_i32x4_splat(i), wasm_i32x4_const(0, 1, 2, 3));
  v128_t above = wasm_i32x4_ge(at, wasm_i32x4_splat(low));
  return wasm_v128_and(above, wasm_i32x4_lt(at, wasm_i32x4_splat(high)));
}

INLINE v128_t v128_select(b32x4 mask, v128_t a, v128_t b) {
#ifdef __wasm_relaxed_simd__
  return wasm_i32x4_relaxed_laneselect(a, b, mask);
#else
  return wasm_v128_bitselect(a, b, mask);
#endif
}
#define f32x4_select v128_select
#define i32x4_select v128_select
#define u32x4_select v128_select
#define b32x4_select v128_select

// ---- i32x4 and u32x4

INLINE i32x4 i32x4_splat(int32_t x) { return wasm_i32x4_splat(x); }
INLINE u32x4 u32x4_splat(uint32_t x) { return wasm_u32x4_splat(x); }
// x, x + 1, x + 2, x + 3
INLINE i32x4 i32x4_ramp(int32_t x) {
  return wasm_i32x4_add(wasm_i32x4_splat(x), wasm_i32x4_const(0, 1, 2, 3));
}
#define LANES_INTEGER(P)                                                                              \
  INLINE P##x4 P##x4_load(const void *p) { return wasm_v128_load(p); }                               \
  INLINE P##x4 P##x4_load_splat(const void *p) { return wasm_v128_load32_splat(p); }                 \
  INLINE void P##x4_store(void *p, P##x4 v) { wasm_v128_store(p, v); }                               \
  INLINE P##x4 P##x4_add(P##x4 a, P##x4 b) { return wasm_i32x4_add(a, b); }                          \
  INLINE P##x4 P##x4_sub(P##x4 a, P##x4 b) { return wasm_i32x4_sub(a, b); }                          \
  INLINE P##x4 P##x4_mul(P##x4 a, P##x4 b) { return wasm_i32x4_mul(a, b); }                          \
  INLINE P##x4 P##x4_neg(P##x4 a) { return wasm_i32x4_neg(a); }                                      \
  INLINE P##x4 P##x4_bit_and(P##x4 a, P##x4 b) { return wasm_v128_and(a, b); }                       \
  INLINE P##x4 P##x4_bit_or(P##x4 a, P##x4 b) { return wasm_v128_or(a, b); }                         \
  INLINE P##x4 P##x4_bit_xor(P##x4 a, P##x4 b) { return wasm_v128_xor(a, b); }                       \
  INLINE P##x4 P##x4_bit_not(P##x4 a) { return wasm_v128_not(a); }                                   \
  INLINE P##x4 P##x4_min(P##x4 a, P##x4 b) { return wasm_##P##x4_min(a, b); }                        \
  INLINE P##x4 P##x4_max(P##x4 a, P##x4 b) { return wasm_##P##x4_max(a, b); }
LANES_INTEGER(i32)
LANES_INTEGER(u32)
INLINE i32x4 i32x4_abs(i32x4 a) { return wasm_i32x4_abs(a); }
INLINE u32x4 u32x4_abs(u32x4 a) { return a; }
INLINE u32x4 u32x4_sign(u32x4 a) { return wasm_u32x4_min(a, wasm_i32x4_splat(1)); }
INLINE i32x4 i32x4_sign(i32x4 a) {
  return wasm_i32x4_min(wasm_i32x4_max(a, wasm_i32x4_splat(-1)), wasm_i32x4_splat(1));
}

#define LANES_COMPARE(P)                                                                              \
  INLINE b32x4 P##_eq(v128_t a, v128_t b) { return wasm_##P##_eq(a, b); }                            \
  INLINE b32x4 P##_ne(v128_t a, v128_t b) { return wasm_##P##_ne(a, b); }                            \
  INLINE b32x4 P##_lt(v128_t a, v128_t b) { return wasm_##P##_lt(a, b); }                            \
  INLINE b32x4 P##_le(v128_t a, v128_t b) { return wasm_##P##_le(a, b); }                            \
  INLINE b32x4 P##_gt(v128_t a, v128_t b) { return wasm_##P##_gt(a, b); }                            \
  INLINE b32x4 P##_ge(v128_t a, v128_t b) { return wasm_##P##_ge(a, b); }
#define wasm_u32x4_eq wasm_i32x4_eq
#define wasm_u32x4_ne wasm_i32x4_ne
LANES_COMPARE(f32x4)
LANES_COMPARE(i32x4)
LANES_COMPARE(u32x4)

// ---- conversions; floats to integers truncate and saturate, NaN gives 0

INLINE f32x4 f32x4_from_i32x4(i32x4 a) { return wasm_f32x4_convert_i32x4(a); }
INLINE f32x4 f32x4_from_u32x4(u32x4 a) { return wasm_f32x4_convert_u32x4(a); }
INLINE f32x4 f32x4_from_b32x4(b32x4 a) { return wasm_v128_and(a, wasm_f32x4_splat(1.0f)); }
INLINE i32x4 i32x4_from_f32x4(f32x4 a) { return wasm_i32x4_trunc_sat_f32x4(a); }
// The same for what is saturated to 16 bits or fewer afterwards.
INLINE i32x4 i32x4_short_from_f32x4(f32x4 a) {
#ifdef __wasm_relaxed_simd__
  // what lies too low becomes INT32_MIN in any case
  a = wasm_f32x4_pmin(wasm_v128_and(a, wasm_f32x4_eq(a, a)), wasm_f32x4_splat(32767.0f));
  return wasm_i32x4_relaxed_trunc_f32x4(a);
#else
  return wasm_i32x4_trunc_sat_f32x4(a);
#endif
}
// The same for what is known to lie within 16 bits, or is NaN, which gives anything.
INLINE i32x4 i32x4_bounded_from_f32x4(f32x4 a) {
#ifdef __wasm_relaxed_simd__
  return wasm_i32x4_relaxed_trunc_f32x4(a);
#else
  return wasm_i32x4_trunc_sat_f32x4(a);
#endif
}
// Rounded to even, plus an integer, for what is saturated to 16 bits or fewer afterwards; NaN gives anything. A sum with
// 1.5 * 2^23, which is `up`, has the integer in its last bits. Larger numbers keep their order, as bits too where they are
// not negative. `down` is what those bits are without an integer, less the one to add.
#define NEAREST_UP 12582912.0f
#define NEAREST_DOWN 0x4b400000
INLINE i32x4 i32x4_nearest_from_f32x4(f32x4 a, f32x4 up, i32x4 down) {
  return wasm_i32x4_sub(wasm_f32x4_pmax(wasm_f32x4_splat(0), wasm_f32x4_add(a, up)), down);
}
INLINE u32x4 u32x4_from_f32x4(f32x4 a) { return wasm_u32x4_trunc_sat_f32x4(a); }
INLINE i32x4 i32x4_from_b32x4(b32x4 a) { return wasm_v128_and(a, wasm_i32x4_splat(1)); }
INLINE u32x4 u32x4_from_b32x4(b32x4 a) { return wasm_v128_and(a, wasm_i32x4_splat(1)); }
INLINE b32x4 b32x4_from_f32x4(f32x4 a) { return wasm_f32x4_ne(a, wasm_f32x4_splat(0)); }
INLINE b32x4 b32x4_from_i32x4(i32x4 a) { return wasm_i32x4_ne(a, wasm_i32x4_splat(0)); }
INLINE b32x4 b32x4_from_u32x4(u32x4 a) { return wasm_i32x4_ne(a, wasm_i32x4_splat(0)); }

INLINE i32x4 i32x4_shift_left(i32x4 a, int bits) { return wasm_i32x4_shl(a, bits); }
INLINE i32x4 i32x4_shift_right(i32x4 a, int bits) { return wasm_i32x4_shr(a, bits); }
INLINE u32x4 u32x4_shift_left(u32x4 a, int bits) { return wasm_i32x4_shl(a, bits); }
INLINE u32x4 u32x4_shift_right(u32x4 a, int bits) { return wasm_u32x4_shr(a, bits); }

// narrower integers live in 32-bit lanes: wrap brings a result back to the range of its type
INLINE i32x4 i32x4_wrap_i8(i32x4 a) { return wasm_i32x4_shr(wasm_i32x4_shl(a, 24), 24); }
INLINE i32x4 i32x4_wrap_i16(i32x4 a) { return wasm_i32x4_shr(wasm_i32x4_shl(a, 16), 16); }
INLINE u32x4 u32x4_wrap_u8(u32x4 a) { return wasm_v128_and(a, wasm_i32x4_splat(0xff)); }
INLINE u32x4 u32x4_wrap_u16(u32x4 a) { return wasm_v128_and(a, wasm_i32x4_splat(0xffff)); }

// IEEE half precision in the low 16 bits of each lane
INLINE f32x4 f32x4_from_f16_bits(u32x4 h) {
  v128_t magnitude = wasm_v128_and(h, wasm_i32x4_splat(0x7fff));
  v128_t sign = wasm_i32x4_shl(wasm_v128_xor(h, magnitude), 16);
  // 2^112 moves the exponent's bias from 15 to 127 and makes subnormals normal
  v128_t scaled = wasm_f32x4_mul(wasm_i32x4_shl(magnitude, 13), wasm_i32x4_splat(0x77800000));
  v128_t special = wasm_i32x4_gt(magnitude, wasm_i32x4_splat(0x7bff));
  scaled = wasm_v128_or(scaled, wasm_v128_and(special, wasm_i32x4_splat(0x7f800000)));
  return wasm_v128_or(scaled, sign);
}
INLINE u32x4 f16_bits_from_f32x4(f32x4 v) {
  v128_t u = wasm_v128_and(v, wasm_i32x4_splat(0x7fffffff));
  v128_t sign = wasm_v128_and(wasm_u32x4_shr(v, 16), wasm_i32x4_splat(0x8000));
  // normal results: rebias, round half to even; a carry out of the mantissa may reach infinity
  v128_t odd = wasm_v128_and(wasm_u32x4_shr(u, 13), wasm_i32x4_splat(1));
  v128_t normal = wasm_i32x4_add(u, wasm_i32x4_splat((int32_t)0xc8000fff));
  normal = wasm_u32x4_shr(wasm_i32x4_add(normal, odd), 13);
  // subnormal results: adding 0.5 leaves their bits at the end of the mantissa, rounded by the addition
  v128_t half = wasm_f32x4_splat(0.5f);
  v128_t small = wasm_i32x4_sub(wasm_f32x4_add(u, half), half);
  v128_t r = v128_select(wasm_i32x4_lt(u, wasm_i32x4_splat(0x38800000)), small, normal);
  r = v128_select(wasm_i32x4_ge(u, wasm_i32x4_splat(0x47800000)), wasm_i32x4_splat(0x7c00), r);
  r = v128_select(wasm_i32x4_gt(u, wasm_i32x4_splat(0x7f800000)), wasm_i32x4_splat(0x7e00), r);
  return wasm_v128_or(r, sign);
}
INLINE f32x4 f32x4_round_f16(f32x4 v) { return f32x4_from_f16_bits(f16_bits_from_f32x4(v)); }

// ---- memory forms narrower than a lane

INLINE v128_t u8x4_load(const void *p) {
  return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
INLINE v128_t i8x4_load(const void *p) {
  return wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}
INLINE v128_t u16x4_load(const void *p) { return wasm_u32x4_load16x4(p); }
INLINE v128_t i16x4_load(const void *p) { return wasm_i32x4_load16x4(p); }
INLINE v128_t b8x4_load(const void *p) { return wasm_i32x4_ne(u8x4_load(p), wasm_i32x4_splat(0)); }
INLINE v128_t f16x4_load(const void *p) { return f32x4_from_f16_bits(wasm_u32x4_load16x4(p)); }

// Sixteen elements from four vectors of i32x4.
INLINE v128_t i8x16_saturated(const v128_t *v) {
  return wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]), wasm_i16x8_narrow_i32x4(v[2], v[3]));
}
INLINE v128_t u8x16_saturated(const v128_t *v) {
  return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]), wasm_i16x8_narrow_i32x4(v[2], v[3]));
}
// The first n bytes, 0 to 15 of them.
INLINE void v128_store_first(void *to, v128_t v, int32_t n) {
  uint8_t *p = to;
  if (n & 8) {
    wasm_v128_store64_lane(p, v, 0);
    v = wasm_i64x2_shuffle(v, v, 1, 1);
    p += 8;
  }
  if (n & 4) {
    wasm_v128_store32_lane(p, v, 0);
    v = wasm_u64x2_shr(v, 32);
    p += 4;
  }
  if (n & 2) {
    wasm_v128_store16_lane(p, v, 0);
    v = wasm_u64x2_shr(v, 16);
    p += 2;
  }
  if (n & 1) wasm_v128_store8_lane(p, v, 0);
}
// What the last eight bits of each lane name in a table of 256 bytes.
#define LANES_LOOKUP(P, T)                                                                            \
  INLINE v128_t P##_lookup(const T *table, v128_t at) {                                               \
    return wasm_i32x4_make(                                                                           \
        table[(uint8_t)wasm_i32x4_extract_lane(at, 0)], table[(uint8_t)wasm_i32x4_extract_lane(at, 1)], \
        table[(uint8_t)wasm_i32x4_extract_lane(at, 2)], table[(uint8_t)wasm_i32x4_extract_lane(at, 3)]); \
  }
LANES_LOOKUP(u8x4, uint8_t)
LANES_LOOKUP(i8x4, int8_t)
// What sixteen bytes name in a table, stored.
#define FOUND(I) p[I] = from[wasm_u8x16_extract_lane(at, I)];
INLINE void v128_store_found(void *to, v128_t at, const void *table) {
  const uint8_t *from = table;
  uint8_t *p = to;
  FOUND(0) FOUND(1) FOUND(2) FOUND(3) FOUND(4) FOUND(5) FOUND(6) FOUND(7)
  FOUND(8) FOUND(9) FOUND(10) FOUND(11) FOUND(12) FOUND(13) FOUND(14) FOUND(15)
}
// The same for the first n of them, 0 to 15.
INLINE void v128_store_first_found(void *to, v128_t at, int32_t n, const void *table) {
  uint8_t found[16];
  v128_store_found(found, at, table);
  v128_store_first(to, wasm_v128_load(found), n);
}
INLINE void u8x4_store(void *p, v128_t v) {
  v = wasm_i8x16_shuffle(v, v, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  wasm_v128_store32_lane(p, v, 0);
}
INLINE void u16x4_store(void *p, v128_t v) {
  v = wasm_i8x16_shuffle(v, v, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13);
  wasm_v128_store64_lane(p, v, 0);
}
INLINE void i8x4_store(void *p, v128_t v) { u8x4_store(p, v); }
INLINE void i16x4_store(void *p, v128_t v) { u16x4_store(p, v); }
INLINE void b8x4_store(void *p, v128_t v) { u8x4_store(p, u32x4_from_b32x4(v)); }
INLINE void f16x4_store(void *p, v128_t v) { u16x4_store(p, f16_bits_from_f32x4(v)); }

// For each memory form: one element to all lanes; lanes `stride` elements apart, of which `n` are wanted
// (the others repeat the last, so that nothing beyond it is read); a store of `n` lanes, at most 4; and the
// lanes of elements i to i + 3 of a row at p that lie in [low, high), with `fill` for the others.
#define LANES_MEMORY(P, T, SPLAT, DECODE, ENCODE)                                                     \
  INLINE v128_t P##_gather(const T *p, int32_t stride, int32_t n) {                                   \
    int32_t a = n > 1 ? stride : 0, b = n > 2 ? 2 * stride : a, c = n > 3 ? 3 * stride : b;           \
    v128_t v = SPLAT(p[0]);                                                                           \
    v = wasm_i32x4_replace_lane(v, 1, p[a]);                                                          \
    v = wasm_i32x4_replace_lane(v, 2, p[b]);                                                          \
    return DECODE(wasm_i32x4_replace_lane(v, 3, p[c]));                                               \
  }                                                                                                   \
  INLINE void P##_store_partial(T *p, v128_t v, int32_t n) {                                          \
    if (n >= 4) {                                                                                     \
      P##_store(p, v);                                                                                \
      return;                                                                                         \
    }                                                                                                 \
    v = ENCODE(v);                                                                                    \
    p[0] = (T)wasm_i32x4_extract_lane(v, 0);                                                          \
    if (n > 1) p[1] = (T)wasm_i32x4_extract_lane(v, 1);                                               \
    if (n > 2) p[2] = (T)wasm_i32x4_extract_lane(v, 2);                                               \
  }                                                                                                   \
  INLINE void P##_scatter(T *p, int32_t stride, v128_t v, int32_t n) {                                \
    v = ENCODE(v);                                                                                    \
    p[0] = (T)wasm_i32x4_extract_lane(v, 0);                                                          \
    if (n > 1) p[stride] = (T)wasm_i32x4_extract_lane(v, 1);                                          \
    if (n > 2) p[2 * stride] = (T)wasm_i32x4_extract_lane(v, 2);                                      \
    if (n > 3) p[3 * stride] = (T)wasm_i32x4_extract_lane(v, 3);                                      \
  }                                                                                                   \
  NOINLINE v128_t P##_load_edge(const T *p, int32_t stride, int32_t i, int32_t low, int32_t high,     \
                                v128_t fill) {                                                        \
    int32_t at[4];                                                                                    \
    if (low >= high) return fill;                                                                     \
    for (int k = 0; k < 4; k++) at[k] = i + k < low ? low : i + k < high ? i + k : high - 1;          \
    v128_t v = SPLAT(p[at[0] * stride]);                                                              \
    v = wasm_i32x4_replace_lane(v, 1, p[at[1] * stride]);                                             \
    v = wasm_i32x4_replace_lane(v, 2, p[at[2] * stride]);                                             \
    v = wasm_i32x4_replace_lane(v, 3, p[at[3] * stride]);                                             \
    return v128_select(b32x4_within(i, low, high), DECODE(v), fill);                                  \
  }                                                                                                   \
  INLINE v128_t P##_load_within(const T *p, int32_t stride, int32_t i, int32_t low, int32_t high,     \
                                v128_t fill) {                                                        \
    if (i < low || i + 4 > high) return P##_load_edge(p, stride, i, low, high, fill);                 \
    return stride == 1 ? P##_load(p + i) : P##_gather(p + i * stride, stride, 4);                     \
  }
#define LANES_SPLAT(P, T, SPLAT, DECODE)                                                              \
  INLINE v128_t P##_load_splat(const T *p) { return DECODE(SPLAT(p[0])); }
#define LANES_AS_IS(v) (v)
#define LANES_MASK(v) b32x4_from_i32x4(v)
LANES_MEMORY(i32x4, int32_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(u32x4, uint32_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(i16x4, int16_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(u16x4, uint16_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(i8x4, int8_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(u8x4, uint8_t, wasm_i32x4_splat, LANES_AS_IS, LANES_AS_IS)
LANES_MEMORY(b8x4, uint8_t, wasm_i32x4_splat, LANES_MASK, u32x4_from_b32x4)
LANES_MEMORY(f16x4, uint16_t, wasm_i32x4_splat, f32x4_from_f16_bits, f16_bits_from_f32x4)
LANES_SPLAT(i16x4, int16_t, wasm_i32x4_splat, LANES_AS_IS)
LANES_SPLAT(u16x4, uint16_t, wasm_i32x4_splat, LANES_AS_IS)
LANES_SPLAT(i8x4, int8_t, wasm_i32x4_splat, LANES_AS_IS)
LANES_SPLAT(u8x4, uint8_t, wasm_i32x4_splat, LANES_AS_IS)
LANES_SPLAT(b8x4, uint8_t, wasm_i32x4_splat, LANES_MASK)
LANES_SPLAT(f16x4, uint16_t, wasm_i32x4_splat, f32x4_from_f16_bits)

INLINE f32x4 f32x4_gather(const float *p, int32_t stride, int32_t n) {
  return i32x4_gather((const int32_t *)(const void *)p, stride, n);
}
INLINE f32x4 f32x4_load_within(const float *p, int32_t stride, int32_t i, int32_t low, int32_t high,
                               f32x4 fill) {
  return i32x4_load_within((const int32_t *)(const void *)p, stride, i, low, high, fill);
}
INLINE void f32x4_store_partial(float *p, f32x4 v, int32_t n) {
  i32x4_store_partial((int32_t *)(void *)p, v, n);
}
INLINE void f32x4_scatter(float *p, int32_t stride, f32x4 v, int32_t n) {
  i32x4_scatter((int32_t *)(void *)p, stride, v, n);
}

// ---- horizontal: the four lanes combined, in lane 0 and as a scalar

#define LANES_HORIZONTAL(P, T, NAME)                                                                  \
  INLINE T P##x4_horizontal_##NAME(v128_t v) {                                                        \
    v = P##x4_##NAME(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));                                        \
    v = P##x4_##NAME(v, wasm_i32x4_shuffle(v, v, 1, 0, 3, 2));                                        \
    return (T)wasm_##P##x4_extract_lane(v, 0);                                                        \
  }
#define wasm_b32x4_extract_lane(v, i) (wasm_i32x4_extract_lane(v, i) != 0)
LANES_HORIZONTAL(f32, float, add)
LANES_HORIZONTAL(f32, float, mul)
LANES_HORIZONTAL(f32, float, min)
LANES_HORIZONTAL(f32, float, max)
LANES_HORIZONTAL(i32, int32_t, add)
LANES_HORIZONTAL(i32, int32_t, mul)
LANES_HORIZONTAL(i32, int32_t, min)
LANES_HORIZONTAL(i32, int32_t, max)
LANES_HORIZONTAL(u32, uint32_t, add)
LANES_HORIZONTAL(u32, uint32_t, mul)
LANES_HORIZONTAL(u32, uint32_t, min)
LANES_HORIZONTAL(u32, uint32_t, max)
LANES_HORIZONTAL(b32, int, and)
LANES_HORIZONTAL(b32, int, or)
LANES_HORIZONTAL(b32, int, min)
LANES_HORIZONTAL(b32, int, max)
