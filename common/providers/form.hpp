// Bodies and queries of type application/x-www-form-urlencoded, parameter by parameter.
//
// Thread:  any; pure.  Bounds: kFormParametersMax parameters.
// Errors:  nothing comes back from a broken escape or from more parameters.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eventrelay::providers {

inline constexpr std::size_t kFormParametersMax = 1000;

using FormParameters = std::vector<std::pair<std::string, std::string>>;

// What the escapes and `+` of one name or value stand for.
[[nodiscard]] std::optional<std::string> form_decoded(std::string_view text);
// The same into `out`; false: an escape is broken.
[[nodiscard]] bool append_form_decoded(std::string_view text, std::string& out);
// All parameters in their order, decoded; empty pieces (`a=1&&b=2`) are none.
[[nodiscard]] std::optional<FormParameters> read_form(std::string_view form);
// The first parameter of that name, decoded; nothing if there is none or its escapes are broken.
[[nodiscard]] std::optional<std::string> form_value(std::string_view form, std::string_view name);
// The form as a JSON object of strings, the first of each name.
[[nodiscard]] std::optional<std::string> form_as_json(std::string_view form);

}  // namespace eventrelay::providers
