/*
 * The call queue of Linux 6.8 and later as a Promela model, for the comparison of SPIN with the project's own explorer
 * (bench/spin.js). The same steps and the same state as src/explore/queue-model.ts with the discipline linux-6.8, for
 * callers that make CALLS calls each, one after the other: NORMAL callers of normal calls, then CALLERS - NORMAL of
 * system calls on one system session.
 *
 * One process, so that a state is exactly the variables; each step is one transition.
 */
#ifndef CALLERS
#define CALLERS 5
#define NORMAL 3
#define CALLS 2
#define THREADS 2
#define SECURE 2
#endif

#define IDLE 0
#define BEGUN 1
#define READY 2
#define INSIDE 3
#define RETURNED 4
#define ASLEEP_CLAIM 5
#define ASLEEP_LIMIT 6
#define REQUEUE_CLAIM 7
#define REQUEUE_LIMIT 8
#define RECHECK 9
#define DONE 10

#define IS_SYSTEM(i) (i >= NORMAL)
#define MAY_CLAIM(i) (free_thread_count > (IS_SYSTEM(i) -> 0 : 1))

byte stage[CALLERS];
byte call[CALLERS];
bit completed[CALLERS];
byte waiters[CALLERS];
byte waiter_count;
byte free_thread_count = THREADS;
byte secure_free = SECURE;
/* Follows from the stages; lets an end with sleepers be told from one without. */
byte done_count;

hidden byte k;
hidden byte chosen;

inline push(i) {
  waiters[waiter_count] = i;
  waiter_count++
}

inline take_out(i) {
  k = 0;
  do
  :: waiters[k] != i -> k++
  :: else -> break
  od;
  do
  :: k + 1 < waiter_count -> waiters[k] = waiters[k + 1]; k++
  :: else -> break
  od;
  waiter_count--;
  waiters[waiter_count] = 0
}

/* The first waiter in the list that is not completed, system calls first. */
inline complete_one() {
  chosen = CALLERS;
  k = 0;
  do
  :: k < waiter_count && IS_SYSTEM(waiters[k]) && !completed[waiters[k]] -> chosen = waiters[k]; break
  :: k < waiter_count && !(IS_SYSTEM(waiters[k]) && !completed[waiters[k]]) -> k++
  :: k == waiter_count -> break
  od;
  if
  :: chosen == CALLERS ->
    k = 0;
    do
    :: k < waiter_count && !completed[waiters[k]] -> chosen = waiters[k]; break
    :: k < waiter_count && completed[waiters[k]] -> k++
    :: k == waiter_count -> break
    od
  :: else
  fi;
  if
  :: chosen < CALLERS -> completed[chosen] = 1
  :: else
  fi
}

inline claim(i) {
  if
  :: MAY_CLAIM(i) -> free_thread_count--; stage[i] = READY
  :: else -> stage[i] = ASLEEP_CLAIM
  fi
}

#define STEPS(i) \
  :: d_step { stage[i] == IDLE -> stage[i] = BEGUN } \
  :: d_step { stage[i] == BEGUN -> push(i); claim(i) } \
  :: d_step { stage[i] == ASLEEP_CLAIM && completed[i] -> completed[i] = 0; stage[i] = REQUEUE_CLAIM } \
  :: d_step { stage[i] == ASLEEP_LIMIT && completed[i] -> completed[i] = 0; stage[i] = REQUEUE_LIMIT } \
  :: d_step { stage[i] == REQUEUE_CLAIM -> take_out(i); completed[i] = 0; push(i); stage[i] = RECHECK } \
  :: d_step { stage[i] == REQUEUE_LIMIT -> take_out(i); completed[i] = 0; push(i); stage[i] = READY } \
  :: d_step { stage[i] == RECHECK -> claim(i) } \
  :: d_step { stage[i] == READY -> \
       if \
       :: secure_free > 0 -> secure_free--; stage[i] = INSIDE \
       :: else -> stage[i] = ASLEEP_LIMIT \
       fi } \
  :: d_step { stage[i] == INSIDE -> secure_free++; stage[i] = RETURNED } \
  :: d_step { stage[i] == RETURNED -> \
       take_out(i); free_thread_count++; complete_one(); \
       if \
       :: completed[i] -> complete_one() \
       :: else \
       fi; \
       completed[i] = 0; call[i]++; \
       if \
       :: call[i] < CALLS -> stage[i] = IDLE \
       :: else -> call[i] = 0; stage[i] = DONE; done_count++ \
       fi }

active proctype world() {
  do
  STEPS(0)
  STEPS(1)
#if CALLERS > 2
  STEPS(2)
#endif
#if CALLERS > 3
  STEPS(3)
#endif
#if CALLERS > 4
  STEPS(4)
#endif
  :: d_step { done_count == CALLERS -> skip }
  od
}
