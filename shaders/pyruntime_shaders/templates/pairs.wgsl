// 64-bit integers as pairs of words, the lower first: what `pairs.py` names. A shader gets those it uses.

fn extended(x: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(x), bitcast<u32>(x >> 31u));
}

fn add_64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}

fn sub_64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn neg_64(a: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(0u - a.x, 0u - a.y - u32(a.x != 0u));
}

fn abs_i64(a: vec2<u32>) -> vec2<u32> {
    return select(a, neg_64(a), is_negative(a));
}

fn abs_u64(a: vec2<u32>) -> vec2<u32> {
    return a;
}

fn is_negative(a: vec2<u32>) -> bool {
    return (a.y >> 31u) != 0u;
}

fn sign_i64(a: vec2<u32>) -> vec2<u32> {
    return select(sign_u64(a), vec2<u32>(0xffffffffu, 0xffffffffu), is_negative(a));
}

fn sign_u64(a: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(min(a.x | a.y, 1u), 0u);
}

// the products of halves that meet in the lower words
fn mul_64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let p = a.x & 0xffffu;
    let q = a.x >> 16u;
    let r = b.x & 0xffffu;
    let s = b.x >> 16u;
    let middle = q * r + ((p * r) >> 16u); // at most 2^32 - 2^16
    let other = p * s + (middle & 0xffffu);
    return vec2<u32>(a.x * b.x, q * s + (middle >> 16u) + (other >> 16u) + a.x * b.y + a.y * b.x);
}

fn less_u64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn less_i64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return bitcast<i32>(a.y) < bitcast<i32>(b.y) || (a.y == b.y && a.x < b.x);
}

fn min_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, less_i64(b, a));
}

fn max_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, less_i64(a, b));
}

fn min_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, less_u64(b, a));
}

fn max_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, less_u64(a, b));
}

// shifts by 64 or more leave nothing, or the sign
fn shift_left_64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let n = b.x & 31u;
    // in two steps, since a shift by 32 has no meaning
    let carried = (a.x >> 1u) >> (31u - n);
    let near = vec2<u32>(a.x << n, (a.y << n) | carried);
    let kept = select(near, vec2<u32>(0u, near.x), (b.x & 32u) != 0u);
    return select(kept, vec2<u32>(), b.y != 0u || b.x > 63u);
}

fn shift_right_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return shifted_right(a, b, 0u);
}

fn shift_right_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return shifted_right(a, b, bitcast<u32>(bitcast<i32>(a.y) >> 31u));
}

// a shifted, with `sign` in front of it
fn shifted_right(a: vec2<u32>, b: vec2<u32>, sign: u32) -> vec2<u32> {
    let n = b.x & 31u;
    let high = (a.y >> n) | ((sign << 1u) << (31u - n));
    let near = vec2<u32>((a.x >> n) | ((a.y << 1u) << (31u - n)), high);
    let kept = select(near, vec2<u32>(high, sign), (b.x & 32u) != 0u);
    return select(kept, vec2<u32>(sign, sign), b.y != 0u || b.x > 63u);
}

// quotient and remainder, bit by bit; both 0 for a division by zero, as for words
fn divided(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    if ((b.x | b.y) == 0u) {
        return vec4<u32>();
    }
    if ((a.y | b.y) == 0u) {
        return vec4<u32>(a.x / b.x, 0u, a.x % b.x, 0u);
    }
    var quotient = a; // its bits leave at the top, those of the result come in below
    var rest = vec2<u32>();
    for (var bit = 0u; bit < 64u; bit++) {
        let over = is_negative(rest); // then twice the rest has 65 bits
        rest = vec2<u32>((rest.x << 1u) | (quotient.y >> 31u), (rest.y << 1u) | (rest.x >> 31u));
        quotient = vec2<u32>(quotient.x << 1u, (quotient.y << 1u) | (quotient.x >> 31u));
        if (over || !less_u64(rest, b)) {
            rest = sub_64(rest, b);
            quotient.x |= 1u;
        }
    }
    return vec4<u32>(quotient, rest);
}

fn div_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return divided(a, b).xy;
}

fn rem_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return divided(a, b).zw;
}

fn mod_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return divided(a, b).zw;
}

fn div_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let quotient = div_u64(abs_i64(a), abs_i64(b));
    return select(quotient, neg_64(quotient), is_negative(a) != is_negative(b));
}

fn rem_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let rest = rem_u64(abs_i64(a), abs_i64(b));
    return select(rest, neg_64(rest), is_negative(a));
}

fn mod_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let rest = rem_i64(a, b);
    return select(rest, add_64(rest, b), any(rest != vec2<u32>()) && is_negative(rest) != is_negative(b));
}

fn ipow_i64(base: vec2<u32>, exponent: vec2<u32>) -> vec2<u32> {
    if (is_negative(exponent)) {
        // the real result truncated
        let odd = (exponent.x & 1u) != 0u;
        let unit = select(vec2<u32>(1u, 0u), base, odd);
        return select(vec2<u32>(), unit, all(abs_i64(base) == vec2<u32>(1u, 0u)));
    }
    var result = vec2<u32>(1u, 0u);
    var square = base;
    for (var rest = exponent; any(rest != vec2<u32>()); rest = shift_right_u64(rest, vec2<u32>(1u, 0u))) {
        if ((rest.x & 1u) != 0u) {
            result = mul_64(result, square);
        }
        square = mul_64(square, square);
    }
    return result;
}

// the nearest float32, of two as near the even one
fn f32_u64(a: vec2<u32>) -> f32 {
    if ((a.x | a.y) == 0u) {
        return 0.0f;
    }
    let empty = select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u);
    let top = shift_left_64(a, vec2<u32>(empty, 0u));
    let below = (top.y & 0xffu) | u32(top.x != 0u);
    let whole = top.y >> 8u;
    let up = below > 0x80u || (below == 0x80u && (whole & 1u) != 0u);
    // whole has 24 bits, so that it and the power of two are exact
    return f32(whole + u32(up)) * bitcast<f32>((167u - empty) << 23u);
}

fn f32_i64(a: vec2<u32>) -> f32 {
    let value = f32_u64(abs_i64(a));
    return select(value, -value, is_negative(a));
}

// floats truncate and saturate, NaN gives 0
fn to_u64(x: f32) -> vec2<u32> {
    let bits = bitcast<u32>(x);
    if (is_nan(x) || (bits >> 31u) != 0u) {
        return vec2<u32>();
    }
    return magnitude(bits, 191u, vec2<u32>(0xffffffffu, 0xffffffffu));
}

fn to_i64(x: f32) -> vec2<u32> {
    if (is_nan(x)) {
        return vec2<u32>();
    }
    let bits = bitcast<u32>(x);
    if ((bits >> 31u) != 0u) {
        return neg_64(magnitude(bits, 190u, vec2<u32>(0u, 0x80000000u)));
    }
    return magnitude(bits, 190u, vec2<u32>(0xffffffffu, 0x7fffffffu));
}

// the whole part of a float's magnitude; `most` where its exponent is `end` or more
fn magnitude(bits: u32, end: u32, most: vec2<u32>) -> vec2<u32> {
    let exponent = (bits >> 23u) & 0xffu;
    let digits = vec2<u32>((bits & 0x7fffffu) | 0x800000u, 0u);
    if (exponent >= end) {
        return most;
    }
    if (exponent >= 150u) {
        return shift_left_64(digits, vec2<u32>(exponent - 150u, 0u));
    }
    return shift_right_u64(digits, vec2<u32>(150u - exponent, 0u));
}

// an index as i32; what does not fit is the least, which stays negative where negative ones count from the end
fn index_i64(a: vec2<u32>) -> i32 {
    return select(i32(-2147483648), bitcast<i32>(a.x), all(a == extended(bitcast<i32>(a.x))));
}

fn index_u64(a: vec2<u32>) -> i32 {
    return select(i32(-2147483648), bitcast<i32>(a.x), a.y == 0u && a.x < 0x80000000u);
}
