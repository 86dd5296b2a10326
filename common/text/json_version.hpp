// Version of the JSON parser in this build. Thread: any.  Bounds: a constant.
#pragma once

#include <string_view>

namespace eventrelay {

[[nodiscard]] std::string_view json_library_version() noexcept;

}  // namespace eventrelay
