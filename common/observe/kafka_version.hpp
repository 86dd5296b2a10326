// Version of librdkafka as loaded. Thread: any.  Bounds: a constant.
#pragma once

#include <string_view>

namespace eventrelay::kafka {

[[nodiscard]] std::string_view library_version() noexcept;

}  // namespace eventrelay::kafka
