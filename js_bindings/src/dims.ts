// Dims of packs: integers, symbols, or reverse Polish expressions over them, as pyruntime/ir/dims.py writes.

import { InputError, PackError } from "./errors.ts";

/** An integer, a symbol's name, or a reverse Polish list of integers, names and operators. */
export type Dim = number | string | readonly (number | string)[];

/** The values of an entry's symbols. */
export type Symbols = Readonly<Record<string, number>>;

const floorDivide = (a: bigint, b: bigint): bigint => {
  const quotient = a / b;
  return quotient * b !== a && a < 0n !== b < 0n ? quotient - 1n : quotient;
};

type Operator = readonly [numbers: (a: number, b: number) => number, integers: (a: bigint, b: bigint) => bigint];

/** The operation on numbers (exact, or not a safe integer) and on 64-bit integers. */
const OPERATORS: Readonly<Record<string, Operator>> = {
  "+": [(a, b) => a + b, (a, b) => a + b],
  "-": [(a, b) => a - b, (a, b) => a - b],
  "*": [(a, b) => a * b, (a, b) => a * b],
  // a quotient rounded to a double may land on the integer above, hence by the remainder, which is exact
  "//": [(a, b) => (a - floorModulo(a, b)) / b, floorDivide],
  "%": [(a, b) => floorModulo(a, b), (a, b) => a - floorDivide(a, b) * b],
  min: [Math.min, (a, b) => (a < b ? a : b)],
  max: [Math.max, (a, b) => (a > b ? a : b)],
};

function floorModulo(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

const operator = (token: number | string): Operator | undefined =>
  typeof token === "string" && Object.hasOwn(OPERATORS, token) ? OPERATORS[token] : undefined;

/** Walks the tokens of a dim: `leaf` gives the value of an integer or symbol, `apply` that of an operation. */
function fold<T>(dim: Dim, leaf: (token: number | string) => T, apply: (name: string, a: T, b: T) => T): T {
  const stack: T[] = [];
  for (const token of typeof dim === "object" ? dim : [dim]) {
    if (operator(token)) {
      if (stack.length < 2) throw new PackError(`operator ${token} lacks operands in ${JSON.stringify(dim)}`);
      const b = stack.pop() as T;
      stack.push(apply(token as string, stack.pop() as T, b));
    } else {
      stack.push(leaf(token));
    }
  }
  if (stack.length !== 1) throw new PackError(`${JSON.stringify(dim)} leaves ${stack.length} values`);
  return stack[0] as T;
}

function lookUp(token: number | string, symbols: Symbols): number {
  if (typeof token === "number") return token;
  const value = Object.hasOwn(symbols, token) ? symbols[token] : undefined;
  if (value === undefined) throw new PackError(`symbol ${token} has no value`);
  return value;
}

/**
 * The integer that a dim stands for, computed over 64-bit signed integers.
 *
 * @throws InputError for a division by zero, for 64-bit overflow, and for a result past 2^53: the model does not
 *   take these sizes.
 */
export function evaluate(dim: Dim, symbols: Symbols): number {
  if (typeof dim === "number") return dim;
  let exact = true;
  const noted = (value: number): number => {
    exact &&= Number.isSafeInteger(value);
    return value;
  };
  const result = fold(
    dim,
    (token) => noted(lookUp(token, symbols)),
    (name, a, b) => noted(OPERATORS[name]![0](a, b)),
  );
  return exact ? result + 0 : evaluateLong(dim, symbols);
}

function evaluateLong(dim: Dim, symbols: Symbols): number {
  const result = fold(
    dim,
    (token) => BigInt(lookUp(token, symbols)),
    (name, a, b) => {
      if (b === 0n && (name === "//" || name === "%")) throw refused("division by zero", dim, symbols);
      const value = OPERATORS[name]![1](a, b);
      if (BigInt.asIntN(64, value) !== value) throw refused("64-bit overflow", dim, symbols);
      return value;
    },
  );
  if (!Number.isSafeInteger(Number(result))) throw refused("more than 2^53", dim, symbols);
  return Number(result);
}

const refused = (why: string, dim: Dim, symbols: Symbols): InputError =>
  new InputError(`the model does not take these sizes: ${why} in ${show(dim)} for ${told(symbols)}`);

/** The values of symbols for a message: `batch=2, seq=8`. */
export const told = (symbols: Symbols): string =>
  Object.entries(symbols)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ") || "its sizes";

/** Checks that a dim is well formed and names only the given symbols. Throws PackError. */
export function checkDim(dim: Dim, symbols: readonly string[]): void {
  fold(
    dim,
    (token) => {
      if (typeof token === "number" ? !Number.isSafeInteger(token) : !symbols.includes(token)) {
        throw new PackError(`${JSON.stringify(token)} is neither an integer, a symbol of the entry nor an operator`);
      }
    },
    () => undefined,
  );
}

/** A dim as one would write it, the same as in Python: `(batch * 3) + 1`, `max(a, 3)`. */
export function show(dim: Dim): string {
  const call = (name: string): boolean => name.length === 3;
  const text = fold(dim, String, (name, a, b) => (call(name) ? `${name}(${a}, ${b})` : `(${a} ${name} ${b})`));
  return text.startsWith("(") ? text.slice(1, -1) : text;
}

/** A number rounded up to a multiple. */
export const align = (value: number, to: number): number => Math.ceil(value / to) * to;

/** How many elements a shape has. */
export const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1);
