// y = 2 * x in parts, by threads that wait for each other. Entry 1 traps in a helper, entry 2 in the lead while a
// helper is at work, entry 3 in whichever thread comes first; in entry 4 a helper does not come back; entry 5 needs none.
#define TEAM_LIMIT 500000000ll
#include "arena.h"
#include "team.h"

#define X 131072
#define PARTS 4
#define LONG 2000000000  // looks at a word: seconds, should a helper never come

static i64 length[1];
static i32 planned_bytes, came;

EXPORT(abi) i32 abi(void) { return 1; }
EXPORT(dims) i32 dims(i32 entry) { return (i32)length; }
EXPORT(steps) i32 steps(i32 entry) { return 1; }
EXPORT(input) i32 input(i32 entry, i32 i) { return X; }
EXPORT(output) i32 output(i32 entry, i32 i) { return X + (i32)((length[0] * 4 + 63) & ~63ll); }
EXPORT(output_dim) i64 output_dim(i32 entry, i32 i, i32 axis) { return length[0]; }
EXPORT(plan) i32 plan(i32 entry) {
  planned_bytes = output(entry, 0) + (i32)((length[0] * 4 + 63) & ~63ll);
  return 0;
}
EXPORT(bytes) i64 bytes(i32 entry) { return planned_bytes + 65536 * team.helpers; }

static i32 team_memory(i32 entry, i32 thread) { return planned_bytes + 65536 * (thread - 1); }

static void await(i32* word, i32 present) {
  for (i32 looks = 0; looks < LONG && __atomic_load_n(word, __ATOMIC_SEQ_CST) == present; looks++) {}
}

static void team_part(i32 entry, i32 step, i32 part, i32 parts, i32 scratch) {
  if (scratch) {
    __atomic_store_n(&came, 1, __ATOMIC_SEQ_CST);
    if (entry == 2 || entry == 4) await(&team.stopped, 0);
  } else if (team.helpers && entry != 3 && entry != 5) {
    await(&came, 0);
  }
  if (entry == 3 || (entry == 1 && scratch) || (entry == 2 && !scratch)) __builtin_trap();
  const float* x = AT(float, X);
  float* y = AT(float, output(entry, 0));
  for (i32 i = team_share((i32)length[0], part, parts); i < team_share((i32)length[0], part + 1, parts); i++)
    y[i] = 2 * x[i];
}

EXPORT(run) i32 run(i32 entry, i32 first, i32 last) {
  came = 0;
  if (first == last) return last;
  if (team.helpers) return team_run(entry, 0, PARTS) ? last : -6;
  team_part(entry, 0, 0, 1, 0);
  return last;
}

EXPORT(threads) i32 threads(i32 count) { return team_reset(count), 0; }
EXPORT(worker) i32 worker(i32 thread) { return team_help(thread, 65536), 0; }
EXPORT(stop) void stop(void) { team_stop(); }
