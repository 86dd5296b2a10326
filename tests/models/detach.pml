/* One partition with three records and one subscription, two workers.
 *
 * Ledger, group commit, detaching (the state record is acknowledged before an offset is released),
 * catch-up read, attach, cursor commits, fencing of state records by owner marks, kill, rebalance, and
 * workers that do not know yet that they have lost the partition ("zombies").
 *
 * Every action is one atomic step, so a kill may come between any two of them. Budgets: KILLS,
 * MOVES (partition given to the other worker), DETACHES, PUTS (cursor commits). What lands is what is durable; that a
 * worker hears of it later is the same as a worker that is slow to act on it.
 *
 * The verifier reads RECORDS, KILLS, MOVES, DETACHES and PUTS from the environment, besides FAULT=n, which
 * plants fault n, and PROBE=n, which makes it an error to reach place n: both must be found.
 */
c_decl {
  static int number_from(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
  }
}

#define SIZE 3 /* of the arrays: records at most */
#define N records
#define OPEN 4 /* an end that is not set */
#define QUEUE 2
#define bit_of(y) (1 << (y))
#define below(y) (bit_of(y) - 1)
#define owns(x) (w[x].st == RUN)
#define running(x) (owns(x) || w[x].keeps)
#define probe(n) assert(place != n)

/* Budgets, and what is planted. */
byte records, kills, moves, detaches, puts, fault, place;

/* --- what is durable --------------------------------------------------------------------------*/

byte delivered;      /* bit y: some subscriber answered 2xx to record y */
byte committed;      /* of the group */
byte ranges;         /* bits of records finished above it: the commit's metadata */

/* The log of the state topic, folded as a reader folds it: a record counts only if its writer is
 * the owner whose mark counted last. */
typedef Record { bit here; byte position; byte todo; byte end };
Record log_[SIZE];      /* by key, which is the cursor's `from` */
byte mark_epoch;     /* of the mark that counted last */
byte mark_owner;
bit overwritten[SIZE];  /* the last record of this key is one that does not count */
bit followed[SIZE];     /* and the owner has read it */

/* --- a worker ---------------------------------------------------------------------------------*/

#define OFF 0  /* no partition: also how it is after a kill */
#define READ 1 /* assigned: has to read the state topic to its end */
#define MARK 2 /* its mark is on the way */
#define RUN 3
#define CHECK 4 /* its mark counts: is it still the coordinator's owner? */
#define BEATEN 5 /* another's mark counts instead: it marks again if it is still a member */

/* Cursor: everything below `position` that is neither out nor back is done. */
typedef Cursor {
  bit here; bit durable;
  byte position; byte out; byte back; byte end;
  byte waits; /* records that are done for the ledger once the cursor is durable */
  byte put;   /* what its last record said */
};
typedef Worker {
  byte st; byte epoch;
  bit valid;  /* what the group's coordinator believes: commits are taken */
  bit keeps;  /* it was the owner, and goes on with what it has while it takes over again */
  byte live;  /* next record of the live path */
  byte done;  /* ledger: finished, or below what was committed */
  byte queued; byte flight; /* jobs of the live path */
  Cursor e[SIZE];
};
Worker w[2];

/* State records on the way, in order: kind, key, value, epoch. */
#define K_MARK 0
#define K_FIRST 1 /* a cursor's first record */
#define K_PUT 2
#define K_DEL 3
chan way[2] = [QUEUE] of { byte, byte, byte, byte };

byte stale_marks = 1; /* of a worker that has lost the partition */

bit refused;         /* ghost: a commit of a zombie was refused; it is asked once */
byte booted;         /* ghost: the worker that became owner last */

hidden byte a, b, c, i, k, v, kind, ep, who, to;
hidden byte ok;

#define pack(position_, todo_, end_) ((position_) | ((todo_) << 2) | ((end_) << 5))
#define pack_cursor(x, y) pack(w[x].e[y].position, (fault == 6 -> 0 : (w[x].e[y].out | w[x].e[y].back)), w[x].e[y].end)

/* No record that is forgotten (committed or in the ranges) is without a 2xx or a durable cursor. */
inline check_nothing_lost() {
  i = 0;
  do
  :: i < SIZE ->
     if
     :: (i < committed || (ranges & bit_of(i))) && !(delivered & bit_of(i)) ->
        ok = 0;
        c = 0;
        do
        :: c < SIZE ->
           ok = ok || (log_[c].here && c <= i && (log_[c].end == OPEN || i < log_[c].end) &&
                       (i >= log_[c].position || (log_[c].todo & bit_of(i))));
           c++
        :: else -> break
        od;
        assert(ok) /* never lost */
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0
}

inline forget(x) { /* the worker's memory of the partition */
  printf("w%d: forgets\n", x);
  w[x].st = OFF; w[x].live = 0; w[x].done = 0; w[x].queued = 0; w[x].flight = 0;
  w[x].epoch = 0; w[x].keeps = 0;
  i = 0;
  do
  :: i < SIZE ->
     w[x].e[i].here = 0; w[x].e[i].durable = 0; w[x].e[i].position = 0; w[x].e[i].out = 0;
     w[x].e[i].back = 0; w[x].e[i].end = 0; w[x].e[i].waits = 0; w[x].e[i].put = 0;
     i++
  :: else -> break
  od;
  i = 0
}

inline load_entries(x) {
  i = 0;
  do
  :: i < SIZE ->
     w[x].e[i].here = log_[i].here;
     w[x].e[i].durable = log_[i].here;
     if
     :: log_[i].here ->
        w[x].e[i].position = log_[i].position; w[x].e[i].back = log_[i].todo;
        w[x].e[i].end = log_[i].end;
        w[x].e[i].put = pack(log_[i].position, log_[i].todo, log_[i].end);
        if :: log_[i].todo -> probe(7) :: else fi
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0
}

inline boot(x) {
  w[x].st = CHECK;
  if
  :: w[x].keeps -> skip
  :: else ->
     w[x].live = committed;
     w[x].done = ranges | below(committed);
     if :: fault != 8 -> load_entries(x) :: else fi
  fi
}

inline lowest(mask, otherwise) {
  b = (mask & 1 -> 0 : (mask & 2 -> 1 : (mask & 4 -> 2 : otherwise)))
}

/* A state record of worker x lands, and x hears of it. */
inline land(x) {
  way[x]?kind, k, v, ep;
  printf("w%d: lands kind=%d key=%d position=%d todo=%d end=%d epoch=%d (mark %d of w%d)\n", x, kind, k,
         v & 3, (v >> 2) & 7, v >> 5, ep, mark_epoch, mark_owner);
  if
  :: kind == K_MARK ->
     if
     :: ep > mark_epoch || (ep == mark_epoch && fault == 16) ->
        mark_epoch = ep; mark_owner = x;
        if :: w[x].st == MARK && w[x].epoch == ep -> boot(x) :: else fi
     :: else ->
        /* Another owner took this epoch first: choose again. */
        if :: w[x].st == MARK && w[x].epoch == ep -> probe(9); w[x].st = BEATEN :: else fi
     fi
  :: else ->
     ok = (ep == mark_epoch && mark_owner == x) || fault == 7;
     if
     :: ok ->
        assert(x == booted); /* a zombie never counts */
        log_[k].here = (kind != K_DEL);
        if
        :: kind != K_DEL ->
           log_[k].position = v & 3; log_[k].todo = (v >> 2) & 7; log_[k].end = (v >> 5) & 7
        :: else -> log_[k].position = 0; log_[k].todo = 0; log_[k].end = 0; probe(5)
        fi;
        overwritten[k] = 0; followed[k] = 0
     :: else -> overwritten[k] = 1; followed[k] = 0; probe(1)
     fi;
     if
     :: owns(x) && w[x].epoch == ep ->
        /* Durable when it is read back, and counts: an acknowledgement alone does not say that no
         * newer mark stands before it. All that its writer sees is that no epoch is newer. */
        if
        :: ep == mark_epoch || fault == 15 ->
           if
           :: w[x].e[k].here && (kind == K_FIRST || fault == 3) ->
              w[x].e[k].durable = 1;
              w[x].done = w[x].done | w[x].e[k].waits;
              w[x].e[k].waits = 0
           :: else
           fi
        :: else -> probe(11); w[x].st = BEATEN; w[x].keeps = 1 /* it takes over again */
        fi
     :: else
     fi;
     check_nothing_lost()
  fi
}

/* Its queue is full, or it is paused: what is queued goes back into the log, what is in
 * flight is still the live path's to end, but the cursor knows of it. */
inline detach(x) {
  lowest(w[x].queued, w[x].live);
  k = (fault == 2 -> 0 : b);
  detaches--;
  w[x].e[k].here = 1; w[x].e[k].durable = 0; w[x].e[k].position = w[x].live;
  w[x].e[k].back = w[x].queued; w[x].e[k].waits = w[x].queued;
  /* Of those at or above `from`. */
  w[x].e[k].out = (fault == 12 -> 0 : w[x].flight & ~below(b));
  if :: w[x].flight & ~below(b) -> probe(8) :: else fi;
  w[x].e[k].end = OPEN;
  w[x].queued = 0;
  v = pack_cursor(x, k);
  w[x].e[k].put = v;
  printf("w%d: detach @%d back=%d out=%d live=%d\n", x, k, w[x].e[k].back, w[x].e[k].out, w[x].live);
  way[x]!K_FIRST, k, v, w[x].epoch;
  a = 0; i = 0;
  do
  :: i < SIZE -> a = a + w[x].e[i].here; i++
  :: else -> break
  od;
  if :: a == 2 -> probe(4) :: else fi
}

inline delivered_now(x, y) {
  printf("w%d: delivered %d\n", x, y);
  if :: delivered & bit_of(y) -> probe(3) :: else fi;
  delivered = delivered | bit_of(y);
  i = 0;
  do
  :: i < SIZE -> w[x].e[i].out = w[x].e[i].out & ~bit_of(y); i++
  :: else -> break
  od;
  i = 0
}

#define cursor(x, y) (running(x) && w[x].e[y].here && w[x].e[y].durable)
#define may_put(x) (owns(x) && nfull(way[x]))
#define top(x, y) (w[x].e[y].end == OPEN -> w[x].live : w[x].e[y].end)
/* Where a new cursor would begin. */
#define from_of(x) ((w[x].queued & 1) -> 0 : ((w[x].queued & 2) -> 1 : ((w[x].queued & 4) -> 2 : w[x].live)))
#define free_key(x) (fault == 2 || !w[x].e[(from_of(x))].here)

#define takes(x) (running(x) && w[x].live < N && !(w[x].done & bit_of(w[x].live)))
#define covers(x, y, key) (w[x].e[key].here && (key) <= (y) && \
                           (w[x].e[key].end == OPEN || (y) < w[x].e[key].end))
#define covered_by(x, y) (covers(x, y, 0) || covers(x, y, 1) || covers(x, y, 2))
#define durable_in(x, y, key) (!covers(x, y, key) || w[x].e[key].durable)
#define all_durable(x, y) (durable_in(x, y, 0) && durable_in(x, y, 1) && durable_in(x, y, 2))
#define first_open(d) (((d) & 7) == 7 -> 3 : (((d) & 3) == 3 -> 2 : ((d) & 1)))
#define commit_at(x) (fault == 4 -> w[x].live : first_open(w[x].done))
#define commit_ranges(x) ((w[x].done | (fault == 13 -> below(w[x].live) : 0)) & ~below(commit_at(x)))

/* A job is sent when it is taken or just before its answer: what lies between is the same. */
#define DELIVER(x, y)                                                                  \
  :: d_step { running(x) && ((w[x].flight | w[x].queued) & bit_of(y)) ->               \
       w[x].flight = w[x].flight & ~bit_of(y); w[x].done = w[x].done | bit_of(y);      \
       w[x].queued = w[x].queued & ~bit_of(y); delivered_now(x, y) }

#define ENTRY(x, y)                                                                     \
  /* catch-up read: first what came back, then what lies ahead */                               \
  :: d_step { cursor(x, y) && w[x].e[y].back != 0 ->                                    \
       lowest(w[x].e[y].back, N);                                                       \
       w[x].e[y].back = w[x].e[y].back & ~bit_of(b);                                    \
       w[x].e[y].out = w[x].e[y].out | bit_of(b); b = 0 }                               \
  :: d_step { cursor(x, y) && w[x].e[y].back == 0 && w[x].e[y].position < top(x, y) ->  \
       w[x].e[y].out = w[x].e[y].out | bit_of(w[x].e[y].position); w[x].e[y].position++ } \
  /* a job read again ends; those of the live path end there */                         \
  :: d_step { running(x) && w[x].e[y].here && (w[x].e[y].out & ~w[x].flight) != 0 ->    \
       a = w[x].e[y].out & ~w[x].flight; lowest(a, N); delivered_now(x, b); b = 0 }     \
  /* attach at the live position */                                                     \
  :: d_step { cursor(x, y) && w[x].e[y].end == OPEN && w[x].e[y].position == w[x].live && \
              (w[x].live > y || fault == 3) &&                                            \
              /* what the ranges say was done may have been done by this very cursor */  \
              ((w[x].done & ~below(w[x].live)) == 0 || fault == 14) &&                    \
              w[x].e[y].back == 0 && may_put(x) ->                                      \
       printf("w%d: attach @%d end=%d\n", x, y, w[x].live);                             \
       w[x].e[y].end = w[x].live; v = pack_cursor(x, y);                                \
       w[x].e[y].put = v; way[x]!K_PUT, y, v, w[x].epoch }                              \
  /* its last record is done */                                                         \
  :: d_step { cursor(x, y) && w[x].e[y].position == w[x].e[y].end && w[x].e[y].back == 0 && \
              (w[x].e[y].out == 0 || fault == 5) && may_put(x) ->                         \
       w[x].e[y].here = 0; w[x].e[y].durable = 0; w[x].e[y].position = 0;               \
       w[x].e[y].end = 0; w[x].e[y].put = 0; w[x].e[y].out = 0;                         \
       way[x]!K_DEL, y, 0, w[x].epoch }                                                 \
  /* cursor commit */                                                                   \
  :: d_step { puts > 0 && cursor(x, y) && w[x].e[y].put != pack_cursor(x, y) &&          \
              may_put(x) ->                                                             \
       puts--; v = pack_cursor(x, y); w[x].e[y].put = v; way[x]!K_PUT, y, v, w[x].epoch }       \
  /* it follows its partition of the state topic */                                     \
  :: d_step { may_put(x) && x == booted && overwritten[y] && !followed[y] ->             \
       followed[y] = 1; probe(6);                                                       \
       if                                                                               \
       :: fault == 11                                                                     \
       :: fault != 11 && w[x].e[y].here && w[x].e[y].durable ->                           \
          v = pack_cursor(x, y); w[x].e[y].put = v; way[x]!K_PUT, y, v, w[x].epoch      \
       :: fault != 11 && w[x].e[y].here && !w[x].e[y].durable ->                          \
          v = pack_cursor(x, y); w[x].e[y].put = v; way[x]!K_FIRST, y, v, w[x].epoch    \
       :: fault != 11 && !w[x].e[y].here -> way[x]!K_DEL, y, 0, w[x].epoch                \
       fi }

#define WORKER(x, other)                                                                \
  /* the partition is given to it: nobody else has it in the coordinator's eyes */      \
  :: d_step { w[x].st == OFF && !w[x].valid && !w[other].valid && (x == 0 || mark_epoch > 0) ->                       \
       w[x].valid = 1; w[x].st = READ }                                                 \
  :: d_step { nfull(way[x]) && ((w[x].st == READ && (w[x].valid || stale_marks > 0)) || \
                                (w[x].st == BEATEN && w[x].valid)) ->                   \
       if :: !w[x].valid -> stale_marks-- :: else fi;                                   \
       w[x].epoch = mark_epoch + 1; w[x].st = MARK;                                     \
       if :: fault == 8 && !w[x].keeps -> load_entries(x) :: else fi;                    \
       way[x]!K_MARK, 0, 0, w[x].epoch }                                                \
  :: d_step { nempty(way[x]) -> land(x); kind = 0; k = 0; v = 0; ep = 0 }               \
  /* a commit that is accepted says that its mark is younger than that of any former owner */ \
  :: d_step { w[x].st == CHECK && (w[x].valid || fault == 9) ->                        \
       w[x].st = RUN; w[x].keeps = 0; booted = x; followed[0] = 0; followed[1] = 0; followed[2] = 0;    \
       printf("w%d: owner, epoch %d, committed %d, ranges %d\n", x, w[x].epoch,         \
              committed, ranges) }                                                      \
  /* live path */                                                                       \
  :: d_step { running(x) && w[x].live < N && (w[x].done & bit_of(w[x].live)) ->         \
       w[x].live++ /* known from the ranges */ }                                        \
  :: d_step { takes(x) && covered_by(x, w[x].live) &&                                   \
              (all_durable(x, w[x].live) || fault == 1) ->                                \
       w[x].done = w[x].done | bit_of(w[x].live); w[x].live++ }                         \
  :: d_step { takes(x) && !covered_by(x, w[x].live) ->                                  \
       w[x].queued = w[x].queued | bit_of(w[x].live); w[x].live++ }                     \
  :: d_step { takes(x) && !covered_by(x, w[x].live) ->                                  \
       w[x].flight = w[x].flight | bit_of(w[x].live); w[x].live++ }                     \
  :: d_step { may_put(x) && detaches > 0 &&                                             \
              (w[x].live < N || w[x].queued != 0) && free_key(x) &&                     \
              !covered_by(x, w[x].live) ->                                              \
       detach(x); a = 0; b = 0 }                                                        \
  /* group commit */                                                                    \
  :: d_step { running(x) &&                                                             \
              (commit_at(x) != committed || commit_ranges(x) != ranges) &&              \
              (w[x].valid || fault == 10 || !refused) ->                                  \
       printf("w%d: commit %d ranges %d, valid %d\n", x, commit_at(x),                  \
              commit_ranges(x), w[x].valid);                                            \
       if                                                                               \
       :: w[x].valid || fault == 10 ->                                                    \
          assert(commit_at(x) >= committed); /* a commit never goes back */             \
          a = commit_ranges(x); committed = commit_at(x); ranges = a;                   \
          check_nothing_lost()                                                          \
       :: else -> refused = 1; probe(2)                                                 \
       fi;                                                                              \
       a = 0 }                                                                          \
  /* it learns that it has lost the partition; what it has written may still land */    \
  :: d_step { w[x].st != OFF && !w[x].valid -> forget(x) }                              \
  :: d_step { kills > 0 && w[x].st != OFF ->                                            \
       printf("w%d: killed\n", x); kills--; w[x].valid = 0; forget(x);                                              \
       do :: len(way[x]) > 0 -> way[x]?kind, k, v, ep :: else -> break od;               \
       kind = 0; k = 0; v = 0; ep = 0 }                                                 \
  /* the session ends without the worker's knowledge */                                 \
  :: d_step { moves > 0 && w[x].valid && w[x].st != OFF && w[other].st == OFF ->        \
       printf("partition moves to w%d\n", other); moves--; w[x].valid = 0; w[other].valid = 1; w[other].st = READ }

/* Compaction keeps the last record of a key; its lag is longer than an owner takes to follow. */
#define COMPACT(y)                                                                      \
  :: d_step { overwritten[y] && followed[y] && empty(way[booted]) &&                    \
              running(booted) && w[booted].valid ->                                     \
       log_[y].here = 0; log_[y].position = 0; log_[y].todo = 0; log_[y].end = 0;       \
       overwritten[y] = 0; followed[y] = 0;                                             \
       check_nothing_lost() }

init {
  c_code {
    now.records = number_from("RECORDS", 3);
    now.kills = number_from("KILLS", 1);
    now.moves = number_from("MOVES", 0);
    now.detaches = number_from("DETACHES", 1);
    now.puts = number_from("PUTS", 1);
    now.fault = number_from("FAULT", 0);
    now.place = number_from("PROBE", 0);
  };
  do
  WORKER(0, 1)
  WORKER(1, 0)
  DELIVER(0, 0) DELIVER(0, 1) DELIVER(0, 2)
  DELIVER(1, 0) DELIVER(1, 1) DELIVER(1, 2)
  ENTRY(0, 0) ENTRY(0, 1) ENTRY(0, 2)
  ENTRY(1, 0) ENTRY(1, 1) ENTRY(1, 2)
  COMPACT(0) COMPACT(1) COMPACT(2)
  :: timeout -> break
  od;
  /* Nothing can happen any more. */
  assert(delivered == below(N));
  assert(committed == N);
  probe(10)
}
