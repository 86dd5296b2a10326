// Makes malloc's caches of each thread deep enough for a batch of records.
//
// Why:     a record is a dozen small blocks, which are freed a batch at a time. glibc caches seven
//          of a size for each thread and merges and splits the others: 6 % of the CPU of an event.
// Thread:  main, before any other.
// Bounds:  a cache holds at most kCachedBlocks blocks of a size, of sizes up to 1 KiB.
// Errors:  none; if the setting cannot be made, the program goes on without it.
#pragma once

namespace eventrelay {

inline constexpr int kCachedBlocks = 4096;

// glibc reads the setting from the environment when a program starts and never again, so the
// program starts itself once more, in the same process. A GLIBC_TUNABLES that is set is kept.
void deepen_malloc_caches(char** argv) noexcept;

}  // namespace eventrelay
