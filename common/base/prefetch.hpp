// Asks for a line of memory that is needed soon, so that nobody waits for it then.
//
// Why:     GCC takes a function that does nothing but __builtin_prefetch for one without effect,
//          and drops calls of it together with whatever led to the address.
// Thread:  any.  Bounds: one instruction; any address will do.  Errors: none.
#pragma once

namespace eventrelay {

inline void prefetch(const void* line) noexcept {
  __builtin_prefetch(line);
  __asm__ volatile("");  // an effect, for all the compiler knows
}

}  // namespace eventrelay
