// The one result type of the data plane: a value, or a member of a closed error enum.
//
// Thread: any.  Bounds: no allocation.  Errors are values here; exceptions end with start-up.
#pragma once

#include <tl/expected.hpp>

namespace eventrelay {

template <class Value, class Error>
using Expected = tl::expected<Value, Error>;

template <class Error>
using Unexpected = tl::unexpected<Error>;

}  // namespace eventrelay
