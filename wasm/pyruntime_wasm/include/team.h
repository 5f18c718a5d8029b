// Threads that share a run: a step is cut into parts, of which each thread takes the next from its end of what is left.
//
// Every thread is an instance of the module of its own on one shared memory. The lead is in `run`, the helpers in
// `worker`. The lead walks the steps alone; what is worth sharing it publishes as a job. Who takes a part replaces
// the job's word by one with a part less, so that a helper that comes late, or has died, keeps nobody waiting: the
// lead takes what nobody took, and waits only for parts that have begun. With one thread nothing ever waits.

#pragma once
#include <stdint.h>

#define TEAM_LARGEST 64  // threads
#define TEAM_PARTS 4     // of a step for each thread, at most
// looks at a word before a thread sleeps: 100 to 400 microseconds, in which the next part ends and the next step begins.
// Waking takes a part of that, and who wakes while its processor does something else for a moment is put on that of another
// of the team, where both take turns of milliseconds
#define TEAM_PATIENCE 160000
#ifndef TEAM_LIMIT
#define TEAM_LIMIT 60000000000ll  // nanoseconds in which no part ends before the lead gives its helpers up
#endif

static struct {
  int64_t job;  // its number << 32 | the end of the parts that nobody has taken << 16 | the first of them
  int32_t entry, step, parts;
  int32_t done;     // parts of it that are finished
  int32_t waiting;  // whether the lead sleeps until all are
  int32_t asleep;   // helpers that sleep until the next job
  int32_t helpers;  // threads beyond the lead
  int32_t stopped;
} team;

#define TEAM_LOAD(FIELD) __atomic_load_n(&team.FIELD, __ATOMIC_SEQ_CST)
#define TEAM_STORE(FIELD, VALUE) __atomic_store_n(&team.FIELD, VALUE, __ATOMIC_SEQ_CST)
#define TEAM_ADD(FIELD, VALUE) __atomic_add_fetch(&team.FIELD, VALUE, __ATOMIC_SEQ_CST)
#define TEAM_NUMBER ((int32_t *)&team.job + 1)  // the word's upper half

// Computes one part of a step; `scratch` is 0 for the lead.
static void team_part(int32_t entry, int32_t step, int32_t part, int32_t parts, int32_t scratch);
// Where a helper's memory begins: its stack, then its scratch.
static int32_t team_memory(int32_t entry, int32_t thread);

// Units before part `part` of `parts`. Parts at both ends are large and those in the middle small, at least one unit where
// there are so many: whichever thread is held up, all end nearly together.
static __attribute__((noinline, const, unused)) int32_t team_share(int32_t units, int32_t part, int32_t parts) {
  if (units < parts) return (int32_t)((int64_t)units * part / parts);
  const int64_t after = parts - part, near = part < after ? part : after;  // to the nearer end
  const int64_t outside = near + 2ll * (units - parts) * part * after / ((int64_t)parts * parts);
  return (int32_t)(part < after ? outside : units - outside);
}

// Parts to run a step in that is worth running in `most`.
static inline int32_t team_parts(int32_t most) {
  const int32_t threads = team.helpers + 1, enough = TEAM_PARTS * threads;
  if (most > enough) return enough;
  return most < threads ? most : most - most % threads;  // none waits for one more part of the others
}

static inline int32_t team_first(int64_t job) { return (int32_t)(job & 0xffff); }
static inline int32_t team_end(int64_t job) { return (int32_t)(job >> 16 & 0xffff); }
static inline int32_t team_left(int64_t job) { return team_end(job) - team_first(job); }
static inline int64_t team_job(int64_t previous, int32_t parts) {
  return (int64_t)(((uint64_t)previous >> 32) + 1) << 32 | (int64_t)parts << 16;
}

// The part that a thread takes of `job`, of which some are left, or -1 if that is no longer the present job. Threads of
// odd numbers take from the end: each stays where it was in the step before, whose output its cache still holds.
static inline int32_t team_take(int64_t job, int32_t thread) {
  const int32_t back = thread & 1;
  if (!__sync_bool_compare_and_swap(&team.job, job, back ? job - (1 << 16) : job + 1)) return -1;
  return back ? team_end(job) - 1 : team_first(job);
}

// Let all threads leave: a run that waits fails, and later ones until `team_reset`.
static void team_stop(void) {
  TEAM_STORE(stopped, 1);
  int64_t job;
  do job = TEAM_LOAD(job);
  while (!__sync_bool_compare_and_swap(&team.job, job, team_job(job, 0)));
  __builtin_wasm_memory_atomic_notify(TEAM_NUMBER, UINT32_MAX);
  TEAM_ADD(done, 1 << 30);  // no count of parts: the lead looks again
  __builtin_wasm_memory_atomic_notify(&team.done, UINT32_MAX);
}

static void team_reset(int32_t threads) {
  team.job = 0;
  team.done = team.waiting = team.asleep = 0;
  team.helpers = threads - 1;
  TEAM_STORE(stopped, 0);
}

// Run a step in parts with whoever comes; whether it was finished, and not stopped.
static int team_run(int32_t entry, int32_t step, int32_t parts) {
  __atomic_store_n(&team.entry, entry, __ATOMIC_RELAXED);
  __atomic_store_n(&team.step, step, __ATOMIC_RELAXED);
  __atomic_store_n(&team.parts, parts, __ATOMIC_RELAXED);
  TEAM_STORE(done, 0);
  int64_t job = TEAM_LOAD(job);
  TEAM_STORE(job, team_job(job, parts));
  if (TEAM_LOAD(asleep)) __builtin_wasm_memory_atomic_notify(TEAM_NUMBER, (uint32_t)parts - 1);
  while (team_left(job = TEAM_LOAD(job)) > 0) {
    const int32_t part = team_take(job, 0);
    if (part < 0) continue;
    team_part(entry, step, part, parts, 0);
    TEAM_ADD(done, 1);
  }
  for (int32_t looks = 0;; looks++) {
    int32_t done = TEAM_LOAD(done);
    if (TEAM_LOAD(stopped)) return 0;
    if (done == parts) return 1;
    if (looks < TEAM_PATIENCE) continue;
    TEAM_STORE(waiting, 1);
    const int late = __builtin_wasm_memory_atomic_wait32(&team.done, done, TEAM_LIMIT) == 2;
    TEAM_STORE(waiting, 0);
    if (late) team_stop();
  }
}

static inline void team_set_stack(int32_t top) {
  __asm__ volatile(".globaltype __stack_pointer, i32\n\tlocal.get %0\n\tglobal.set __stack_pointer" : : "r"(top));
}

// What a helper does until it is told to stop. It keeps nothing on the stack, which each plan moves.
static void team_help(int32_t thread, int32_t stack) {
  for (int32_t looks = 0;;) {
    const int64_t job = TEAM_LOAD(job);
    if (TEAM_LOAD(stopped)) return;
    if (team_left(job) > 0) {
      looks = 0;
      const int32_t entry = __atomic_load_n(&team.entry, __ATOMIC_RELAXED);
      const int32_t step = __atomic_load_n(&team.step, __ATOMIC_RELAXED);
      const int32_t parts = __atomic_load_n(&team.parts, __ATOMIC_RELAXED);
      const int32_t part = team_take(job, thread);
      if (part < 0) continue;  // then the three may be of another job
      const int32_t top = team_memory(entry, thread) + stack;
      team_set_stack(top);
      team_part(entry, step, part, parts, top);
      if (TEAM_ADD(done, 1) == parts && TEAM_LOAD(waiting)) __builtin_wasm_memory_atomic_notify(&team.done, 1);
    } else if (looks++ >= TEAM_PATIENCE) {
      TEAM_ADD(asleep, 1);
      __builtin_wasm_memory_atomic_wait32(TEAM_NUMBER, (int32_t)((uint64_t)job >> 32), -1);
      TEAM_ADD(asleep, -1);
      looks = 0;
    }
  }
}
