// Checks what must hold by construction. It is on in every build, because a relay that goes on in a
// wrong state is worse than one that has stopped.
//
// Thread:  any.  Bounds: O(1).
// Errors:  prints one line and aborts; never used on input from outside.
#pragma once

namespace eventrelay {

// Prints `expression` with its place to stderr and aborts.
[[noreturn]] void assert_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace eventrelay

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): needs the text and the place of the expression.
#define EVENTRELAY_ASSERT(expression)                   \
  (static_cast<bool>(expression) ? static_cast<void>(0) \
                                 : ::eventrelay::assert_failed(#expression, __FILE__, __LINE__))
