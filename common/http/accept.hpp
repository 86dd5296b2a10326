// Whether an `Accept` header takes a media type (RFC 9110 12.5.1).
//
// Thread:  any.  Bounds: reads the header once; what is malformed in it is passed over.
#pragma once

#include <string_view>

namespace eventrelay {

// `type` as application/json. An empty header takes everything; the most specific range decides,
// and a quality of 0 refuses.
[[nodiscard]] bool accepts(std::string_view accept, std::string_view type) noexcept;

// `header` without its parameters and blanks, e.g. application/json of "application/json; a=b".
[[nodiscard]] std::string_view media_type(std::string_view header) noexcept;

}  // namespace eventrelay
