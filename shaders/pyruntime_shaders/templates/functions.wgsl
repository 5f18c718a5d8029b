// The WGSL functions that printed trees call. A shader gets those it uses, and those they use.
// Drivers may assume that NaN and infinity do not occur: classification tests bits, and infinity comes at
// run time from word 0 of the uniform.

fn infinity() -> f32 {
    return bitcast<f32>(words.infinity);
}

fn nan() -> f32 {
    return bitcast<f32>(words.infinity | 0x400000u);
}

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// NaN is nonzero, and so is what a device may flush to zero
fn nonzero(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) != 0u;
}

fn is_inf(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

// min and max over a subgroup, NaN where one is: built-in ones promise that of integers alone, as which floats
// keep their order once the bits of negative ones are turned over, and NaN comes before or after all
fn subgroup_min_f32(x: f32) -> f32 {
//# if subgroups
    return of_order(subgroupMin(select(to_order(x), -0x7fffffff, is_nan(x))));
//# else
    return x;
//# end
}

fn subgroup_max_f32(x: f32) -> f32 {
//# if subgroups
    return of_order(subgroupMax(select(to_order(x), 0x7fffffff, is_nan(x))));
//# else
    return x;
//# end
}

fn to_order(x: f32) -> i32 {
    let bits = bitcast<i32>(x);
    return bits ^ ((bits >> 31u) & 0x7fffffff);
}

fn of_order(x: i32) -> f32 {
    return bitcast<f32>(x ^ ((x >> 31u) & 0x7fffffff));
}

// test where it is NaN, else value
fn nan_or(test: f32, value: f32) -> f32 {
    return select(value, test, is_nan(test));
}

fn min_f32(a: f32, b: f32) -> f32 {
    return nan_or(a, nan_or(b, min(a, b)));
}

fn max_f32(a: f32, b: f32) -> f32 {
    return nan_or(a, nan_or(b, max(a, b)));
}

// min and max where the bound is known to be a number
fn at_most(x: f32, high: f32) -> f32 {
    return nan_or(x, min(x, high));
}

fn at_least(x: f32, low: f32) -> f32 {
    return nan_or(x, max(x, low));
}

fn sign_f32(x: f32) -> f32 {
    return nan_or(x, sign(x));
}

fn exp_f32(x: f32) -> f32 {
    let value = exp(clamp(x, -104.0f, 88.72283f));
    return nan_or(x, select(value, infinity(), x > 88.72283f));
}

fn log_f32(x: f32) -> f32 {
    if (is_nan(x) || x < 0.0f) {
        return nan();
    }
    if (x == 0.0f || is_inf(x)) {
        return select(x, -infinity(), x == 0.0f);
    }
    return log(x);
}

// within 3e-7: by the series near zero, where a quotient of exponentials loses digits
fn tanh_f32(x: f32) -> f32 {
    let a = abs(x);
    let s = x * x;
    let near = x * (1.0f + s * (-0.33333333f + s * (0.13333333f + s * -0.053968254f)));
    let far = 1.0f - 2.0f / (exp(2.0f * min(a, 10.0f)) + 1.0f);
    return nan_or(x, select(select(far, -far, x < 0.0f), near, a < 0.2f));
}

fn sinh_f32(x: f32) -> f32 {
    let s = x * x;
    let near = x * (1.0f + s * (0.16666667f + s * (0.0083333333f + s * 0.00019841270f)));
    // exp(x / 2) twice: exp(x) overflows before sinh(x) does
    let half = exp_f32(0.5f * abs(x));
    let far = (0.5f * half) * half - 0.5f / half / half;
    return nan_or(x, select(select(far, -far, x < 0.0f), near, abs(x) < 0.5f));
}

fn cosh_f32(x: f32) -> f32 {
    let half = exp_f32(0.5f * abs(x));
    return nan_or(x, (0.5f * half) * half + 0.5f / half / half);
}

fn asinh_f32(x: f32) -> f32 {
    let a = abs(x);
    // sqrt(a * a + 1) overflows for a > 1e19, where it is a
    let far = log(a) + 0.69314718f;
    let s = min(a, 1.0e9f);
    let middle = log1p_f32(s + s * s / (1.0f + sqrt(s * s + 1.0f)));
    let value = select(middle, far, a > 1.0e8f);
    return nan_or(x, select(select(value, -value, x < 0.0f), x, is_inf(x)));
}

fn acosh_f32(x: f32) -> f32 {
    if (is_nan(x) || x < 1.0f) {
        return nan();
    }
    let s = min(x, 1.0e9f) - 1.0f;
    let value = select(log1p_f32(s + sqrt(s * (s + 2.0f))), log(x) + 0.69314718f, x > 1.0e8f);
    return select(value, x, is_inf(x));
}

fn atanh_f32(x: f32) -> f32 {
    let a = abs(x);
    if (is_nan(x) || a > 1.0f) {
        return nan();
    }
    let value = select(0.5f * log1p_f32(2.0f * a / (1.0f - min(a, 0.99999997f))), infinity(), a == 1.0f);
    return select(value, -value, x < 0.0f);
}

// log(1 + x) for x >= 0: log(u) * x / (u - 1) takes back what rounding 1 + x lost
fn log1p_f32(x: f32) -> f32 {
    let u = 1.0f + x;
    let d = u - 1.0f;
    return select(log(u) * (x / max(d, 1.0e-30f)), x, d == 0.0f);
}

// within 5e-7: a quotient of polynomials on [-4, 4]
fn erf_f32(x: f32) -> f32 {
    let c = clamp(x, -4.0f, 4.0f);
    let s = c * c;
    var p = -2.72614226e-10f;
    p = p * s + 2.77068142e-8f;
    p = p * s - 2.10102402e-6f;
    p = p * s - 5.69250639e-5f;
    p = p * s - 7.34990631e-4f;
    p = p * s - 2.9545998e-3f;
    p = p * s - 1.60960333e-2f;
    var q = -1.45660718e-5f;
    q = q * s - 2.13374055e-4f;
    q = q * s - 1.68282697e-3f;
    q = q * s - 7.37332917e-3f;
    q = q * s - 1.42647391e-2f;
    return nan_or(x, clamp(c * p / q, -1.0f, 1.0f));
}

fn pow_f32(x: f32, y: f32) -> f32 {
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (is_nan(x) || is_nan(y)) {
        return nan();
    }
    let a = abs(x);
    // every float of 2^24 and more is an even integer
    let whole = floor(y) == y;
    let odd = whole && abs(y) < 16777216.0f && (i32(y) & 1) != 0;
    var value: f32;
    if (is_inf(y)) {
        value = select(select(0.0f, infinity(), (a > 1.0f) == (y > 0.0f)), 1.0f, a == 1.0f);
    } else if (a == 0.0f || is_inf(x)) {
        value = select(0.0f, infinity(), is_inf(x) == (y > 0.0f));
    } else {
        let exponent = y * log2(a);
        value = select(exp2(clamp(exponent, -150.0f, 127.99999f)), infinity(), exponent >= 128.0f);
        // the product loses digits that integer powers of integers show
        value = select(value, round(value), whole && y > 0.0f && floor(a) == a && value < 65536.0f);
        value = select(value, nan(), x < 0.0f && !whole);
    }
    let negative = odd && (bitcast<u32>(x) >> 31u) != 0u;
    return select(value, -value, negative);
}

// remainder with the divisor's sign
fn mod_f32(a: f32, b: f32) -> f32 {
    let r = rem_f32(a, b);
    return select(r, r + b, r != 0.0f && (r < 0.0f) != (b < 0.0f));
}

// remainder with the dividend's sign, exact: subtracts the divisor times powers of two
fn rem_f32(a: f32, b: f32) -> f32 {
    let d = abs(b);
    // drivers may take denormals for zero
    if (is_nan(a) || is_nan(b) || is_inf(a) || bitcast<u32>(d) < 0x800000u) {
        return nan();
    }
    if (is_inf(b)) {
        return a;
    }
    var r = abs(a);
    while (r >= d) {
        // d with the exponent of r
        let t = bitcast<f32>((bitcast<u32>(r) & 0x7f800000u) | (bitcast<u32>(d) & 0x7fffffu));
        r -= select(t, 0.5f * t, t > r);
    }
    return select(r, -r, a < 0.0f);
}

// the arc functions within 3e-7, by Cephes' polynomials
fn atan_f32(x: f32) -> f32 {
    let a = abs(x);
    let steep = a > 2.4142136f;
    let middle = a > 0.41421356f && !steep;
    let t = select(select(a, (a - 1.0f) / (a + 1.0f), middle), -1.0f / a, steep);
    let z = t * t;
    var p = 0.0805374450f;
    p = p * z - 0.138776856f;
    p = p * z + 0.199777106f;
    p = p * z - 0.333329492f;
    let angle = select(select(0.0f, 0.785398163f, middle), 1.57079633f, steep) + (p * z * t + t);
    return nan_or(x, select(angle, -angle, x < 0.0f));
}

fn asin_f32(x: f32) -> f32 {
    let a = abs(x);
    if (is_nan(x) || a > 1.0f) {
        return nan();
    }
    let far = a > 0.5f;
    let z = select(a * a, 0.5f * (1.0f - a), far);
    let t = select(a, sqrt(z), far);
    var p = 0.0421631990f;
    p = p * z + 0.0241813110f;
    p = p * z + 0.0454700260f;
    p = p * z + 0.0749530027f;
    p = p * z + 0.166667524f;
    p = p * z * t + t;
    let angle = select(p, 1.57079633f - 2.0f * p, far);
    return select(angle, -angle, x < 0.0f);
}

fn acos_f32(x: f32) -> f32 {
    return 1.57079633f - asin_f32(x);
}

fn atan2_f32(y: f32, x: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) {
        return nan();
    }
    let a = abs(x);
    let b = abs(y);
    let big = max(a, b);
    let ratio = select(min(a, b) / big, 0.0f, big == 0.0f);
    var angle = atan_f32(select(ratio, 1.0f, is_inf(x) && is_inf(y)));
    angle = select(angle, 1.57079633f - angle, b > a);
    angle = select(angle, 3.14159265f - angle, (bitcast<u32>(x) >> 31u) != 0u);
    return select(angle, -angle, (bitcast<u32>(y) >> 31u) != 0u);
}

// sin(x + turn * pi / 2) within 3e-7 for arguments up to 10^4: what is left of whole quarter turns, by polynomials
fn sine(x: f32, turn: i32) -> f32 {
    if (is_nan(x) || is_inf(x)) {
        return nan();
    }
    let quarters = round(x * 0.636619772f);
    // pi / 2 in three parts, of which the first two times quarters are exact
    let t = ((x - quarters * 1.5703125f) - quarters * 4.83751297e-4f) - quarters * 7.54978995e-8f;
    let z = t * t;
    let s = t + t * z * (-0.166666546f + z * (0.00833216087f + z * -1.95152959e-4f));
    let c = 1.0f - 0.5f * z + z * z * (0.0416666457f + z * (-0.00138873163f + z * 2.44331571e-5f));
    let quadrant = (i32(quarters) + turn) & 3;
    let value = select(s, c, (quadrant & 1) != 0);
    return select(value, -value, quadrant > 1);
}

fn sin_f32(x: f32) -> f32 {
    return sine(x, 0);
}

fn cos_f32(x: f32) -> f32 {
    return sine(x, 1);
}

fn tan_f32(x: f32) -> f32 {
    return sine(x, 0) / sine(x, 1);
}

// an element of float16 from the word that holds two, and four from two words
fn unpack_one(word: u32, at: i32) -> f32 {
    return unpack2x16float(word >> (u32(at & 1) * 16u)).x;
}

fn unpack_four(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

// 8-bit integers, four in a word, the first in its lowest bits
fn unpack_one_i8(word: u32, at: i32) -> i32 {
    return bitcast<i32>(word << (24u - u32(at & 3) * 8u)) >> 24u;
}

fn unpack_one_u8(word: u32, at: i32) -> u32 {
    return (word >> (u32(at & 3) * 8u)) & 255u;
}

fn unpack_four_i8(word: u32) -> vec4<i32> {
    return vec4<i32>((vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u))) >> vec4<u32>(24u);
}

fn unpack_four_u8(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}

fn pack_i8(four: vec4<i32>) -> u32 {
    return pack_u8(vec4<u32>(four) & vec4<u32>(255u));
}

fn pack_u8(four: vec4<u32>) -> u32 {
    return four.x | (four.y << 8u) | (four.z << 16u) | (four.w << 24u);
}

// sums of products of four 8-bit integers, with those of four columns
fn dots_i8(a: u32, b: vec4<u32>) -> vec4<i32> {
//# if packed_4x8_integer_dot_product
    return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
//# else
    let x = unpack_four_i8(a);
    return vec4<i32>(
        dot(x, unpack_four_i8(b.x)),
        dot(x, unpack_four_i8(b.y)),
        dot(x, unpack_four_i8(b.z)),
        dot(x, unpack_four_i8(b.w)),
    );
//# end
}

fn dots_u8(a: u32, b: vec4<u32>) -> vec4<i32> {
//# if packed_4x8_integer_dot_product
    return vec4<i32>(vec4<u32>(dot4U8Packed(a, b.x), dot4U8Packed(a, b.y), dot4U8Packed(a, b.z), dot4U8Packed(a, b.w)));
//# else
    let x = unpack_four_u8(a);
    return vec4<i32>(vec4<u32>(
        dot(x, unpack_four_u8(b.x)),
        dot(x, unpack_four_u8(b.y)),
        dot(x, unpack_four_u8(b.z)),
        dot(x, unpack_four_u8(b.w)),
    ));
//# end
}

fn to_f16(x: f32) -> f32 {
    let rounded = unpack2x16float(pack2x16float(vec2<f32>(clamp(x, -65504.0f, 65504.0f), 0.0f))).x;
    return nan_or(x, select(rounded, select(infinity(), -infinity(), x < 0.0f), abs(x) >= 65520.0f));
}

fn to_f16_four(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(to_f16(x.x), to_f16(x.y), to_f16(x.z), to_f16(x.w));
}

// floats to integers truncate and saturate, NaN gives 0
fn to_i32(x: f32, low: i32, high: i32) -> i32 {
    if (is_nan(x)) {
        return 0;
    }
    if (x <= f32(low)) {
        return low;
    }
    return select(i32(x), high, x >= f32(high));
}

fn to_u32(x: f32, high: u32) -> u32 {
    if (is_nan(x) || x <= 0.0f) {
        return 0u;
    }
    return select(u32(x), high, x >= f32(high));
}

// integer division by zero gives 0; the most negative by -1 wraps
fn div_i32(a: i32, b: i32) -> i32 {
    if (b == 0 || b == -1) {
        return select(-a, 0, b == 0);
    }
    return a / b;
}

fn div_u32(a: u32, b: u32) -> u32 {
    return select(a / max(b, 1u), 0u, b == 0u);
}

fn rem_i32(a: i32, b: i32) -> i32 {
    if (b == 0 || b == -1) {
        return 0;
    }
    return a % b;
}

fn rem_u32(a: u32, b: u32) -> u32 {
    return select(a % max(b, 1u), 0u, b == 0u);
}

fn mod_i32(a: i32, b: i32) -> i32 {
    let r = rem_i32(a, b);
    return select(r, r + b, r != 0 && (r < 0) != (b < 0));
}

fn ipow_i32(base: i32, exponent: i32) -> i32 {
    if (exponent < 0) {
        // the real result truncated
        let unit = select(base, 1, (exponent & 1) == 0);
        return select(0, unit, base == 1 || base == -1);
    }
    var result = 1;
    var square = base;
    for (var rest = exponent; rest > 0; rest >>= 1u) {
        result = select(result, result * square, (rest & 1) != 0);
        square *= square;
    }
    return result;
}

// shifts by the width or more
fn shift_left_i32(a: i32, b: u32) -> i32 {
    return select(a << (b & 31u), 0, b > 31u);
}

fn shift_left_u32(a: u32, b: u32) -> u32 {
    return select(a << (b & 31u), 0u, b > 31u);
}

fn shift_right_i32(a: i32, b: u32) -> i32 {
    return a >> min(b, 31u);
}

fn shift_right_u32(a: u32, b: u32) -> u32 {
    return select(a >> (b & 31u), 0u, b > 31u);
}

// an index that counts from the end where it is negative
fn wrapped_index(index: i32, size: i32) -> i32 {
    return select(index, index + size, index < 0);
}
