// What the hand-made Wasm modules share: exports of ABI 1, and laying out an arena.
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name)))
#define AT(type, address) ((type*)(u32)(address))

// Takes `bytes` from *end, which it moves on to the next multiple of 64; the address taken.
static inline i64 take(i64* end, i64 bytes) {
  i64 address = *end;
  *end = (address + bytes + 63) & ~63ll;
  return address;
}
