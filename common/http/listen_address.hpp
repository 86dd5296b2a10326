// A listening address as the configuration writes it: 127.0.0.1:8080, [::1]:8080, localhost:0.
//
// Thread: any.  Bounds: none.  Errors: StartError naming the address and the form it must have.
#pragma once

#include <string>
#include <string_view>

#include "common/http/types.hpp"

namespace eventrelay {

// The endpoint meant by `text`. Names are not looked up, except `localhost`; a bare `:8080` means
// every IPv4 address. Throws StartError.
[[nodiscard]] Tcp::endpoint listen_endpoint(std::string_view text);

// `endpoint` in the same form, e.g. for the line `ready`.
[[nodiscard]] std::string print_endpoint(const Tcp::endpoint& endpoint);

}  // namespace eventrelay
