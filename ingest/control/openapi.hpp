// The OpenAPI 3.1 document of the control API, as served under /openapi.json.
//
// Why:     a caller's tools and our own tests judge every answer by it.
// Thread:  any.  Bounds: built once.
#pragma once

#include <string>

namespace eventrelay::control {

[[nodiscard]] const std::string& openapi_document();

}  // namespace eventrelay::control
