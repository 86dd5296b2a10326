// Makes malloc's caches of each thread deep enough for a batch of records.
//
// Why:     a record is a dozen small blocks, handed back by the batch; glibc keeps seven of a size
//          for each thread and merges and splits the rest: 6 % of the CPU of an event.
// Thread:  main, before any other.
// Bounds:  a cache holds what was in use at once, at most kCachedBlocks of a size up to 1 KiB.
// Errors:  none; where it is not possible, nothing changes.
#pragma once

namespace eventrelay {

inline constexpr int kCachedBlocks = 4096;

// glibc takes the setting from the environment when a program starts and never again: so the
// program starts itself once more, as the same process. A GLIBC_TUNABLES that is set stays as it
// is.
void deepen_malloc_caches(char** argv) noexcept;

}  // namespace eventrelay
