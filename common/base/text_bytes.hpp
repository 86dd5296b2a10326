// The bytes of a text as OpenSSL wants them.
//
// Thread:  any.  Bounds: the text's own.
#pragma once

#include <string_view>

namespace eventrelay {

[[nodiscard]] inline const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace eventrelay
