// The one exception of the start of a program.
//
// Thread: any.  Bounds: one line.  Errors: caught by main alone, which prints it and exits 1.
#pragma once

#include <stdexcept>

namespace eventrelay {

// A program could not start; what() is one line that names what, where and the way out.
// Thread: any.  Bounds: one line.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace eventrelay
