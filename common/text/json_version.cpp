#include "common/text/json_version.hpp"

#include <simdjson.h>

#define EVENTRELAY_TEXT_OF(x) #x
#define EVENTRELAY_EXPANDED_TEXT_OF(x) EVENTRELAY_TEXT_OF(x)

namespace eventrelay {

std::string_view json_library_version() noexcept {
  // Some releases define the version as a string, others as bare numbers.
  std::string_view text = EVENTRELAY_EXPANDED_TEXT_OF(SIMDJSON_VERSION);
  if (text.size() > 1 && text.front() == '"') text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace eventrelay
