// The way through a WebGPU program: jumps taken and symbols set, up to the end, a number to be read, or steps on the host.

import { evaluate, type Symbols } from "./dims.ts";
import { RunError } from "./errors.ts";
import type { Command, GpuEntry } from "./manifest.ts";

/** Commands in a run: far more than any model with loops needs. */
const MAX_COMMANDS = 2 ** 20;

type Of<Op extends Command["op"]> = Extract<Command, { op: Op }>;

/** A part of a program as it runs for some values of the symbols. */
export interface Walk {
  /** Commands that do something on the device, each with the symbols' values there. */
  readonly commands: readonly { readonly command: Of<"dispatch" | "copy" | "fill">; readonly symbols: Symbols }[];
  /** The read, or the steps on the host, that it ends with, and where the program goes on. */
  readonly pause: { readonly command: Of<"read" | "host">; readonly next: number } | undefined;
  /** The symbols' values at the end. */
  readonly symbols: Symbols;
  /** Commands walked so far in this run. */
  readonly walked: number;
}

/** Walks a program from command `start` on, after `walked` others. Throws RunError for a loop without end. */
export function walk(program: GpuEntry, given: Symbols, start = 0, walked = 0): Walk {
  const commands: { command: Of<"dispatch" | "copy" | "fill">; symbols: Symbols }[] = [];
  let symbols = given;
  let next = start;
  while (next < program.commands.length) {
    if (++walked > MAX_COMMANDS) throw new RunError(`more than ${MAX_COMMANDS} commands: a loop does not end`);
    const command = program.commands[next++]!;
    if (command.op === "set") symbols = { ...symbols, [command.symbol]: evaluate(command.value, symbols) };
    else if (command.op === "jump") next = evaluate(command.unless ?? 0, symbols) ? next : command.to;
    else if (command.op === "read" || command.op === "host") return { commands, pause: { command, next }, symbols, walked };
    else commands.push({ command, symbols });
  }
  return { commands, pause: undefined, symbols, walked };
}
