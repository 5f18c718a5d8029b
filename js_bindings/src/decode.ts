// Checks of JSON values that build up from small ones, with messages that name the path of a wrong field.

import type { Dim } from "./dims.ts";
import { PackError } from "./errors.ts";

/** A check of a JSON value: gives it with its type, or throws PackError that names the path. */
export type Check<T> = (value: unknown, at: string) => T;

/** Throws PackError for what is wrong at a path. */
export function fail(at: string, problem: string): never {
  throw new PackError(`pack.json: ${at.slice(1)}${at && ": "}${problem}`);
}

/** A short text of a JSON value for a message. */
export const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? "nothing";

/** A check that a value is what `what` says. */
export function expected<T>(what: string, holds: (value: unknown) => boolean): Check<T> {
  return (value, at) => (holds(value) ? (value as T) : fail(at, `expected ${what}, got ${shown(value)}`));
}

export const text = expected<string>("a string", (v) => typeof v === "string");
/** An integer from 0 on. */
export const size = expected<number>("a size", (v) => Number.isSafeInteger(v) && (v as number) >= 0);

export const number = expected<number>("a number", (v) => Number.isFinite(v));

/** A dim, whose symbols and operators are checked later. */
export const dim = expected<Dim>("an integer, a symbol or a list of them and of operators", (v) =>
  (Array.isArray(v) ? v : [v]).every((token) => typeof token === "string" || Number.isSafeInteger(token)),
);

/** One of these strings. */
export const choice = <const T extends string>(...names: readonly T[]): Check<T> =>
  expected(names.map((name) => JSON.stringify(name)).join(" or "), (v) => names.includes(v as T));

/** A list of what `item` takes. */
export const list =
  <T>(item: Check<T>): Check<T[]> =>
  (value, at) =>
    Array.isArray(value)
      ? value.map((v, i) => item(v, `${at}[${i}]`))
      : fail(at, `expected a list, got ${shown(value)}`);

/** A list with one check per item. */
export const tuple =
  <T extends readonly unknown[]>(...items: { [K in keyof T]: Check<T[K]> }): Check<T> =>
  (value, at) =>
    Array.isArray(value) && value.length === items.length
      ? (items.map((item, i) => item(value[i], `${at}[${i}]`)) as unknown as T)
      : fail(at, `expected ${items.length} items, got ${shown(value)}`);

/** An object with any keys. */
export const record = (value: unknown, at: string): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : fail(at, `expected an object, got ${shown(value)}`);

/** An object with at least these fields; others are kept out of the result. */
export const object =
  <T>(fields: { [K in keyof T]-?: Check<T[K]> }): Check<T> =>
  (value, at) => {
    const given = record(value, at);
    const keys = Object.keys(fields) as (keyof T & string)[];
    return Object.fromEntries(keys.map((key) => [key, fields[key](given[key], `${at}.${key}`)])) as T;
  };

/** A field that may be missing. */
export const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, at) =>
    value === undefined ? undefined : check(value, at);
