// Texts in and out of JSON values.
//
// Thread:  any.  Bounds: the text's own.  Errors: what is absent or no text reads as an empty text.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace eventrelay::control {

[[nodiscard]] inline boost::json::value text(std::string_view view) {
  return boost::json::value(boost::json::string_view(view.data(), view.size()));
}

[[nodiscard]] inline std::string_view view(boost::json::string_view text) noexcept {
  return {text.data(), text.size()};
}

[[nodiscard]] inline std::string text_of(const boost::json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

[[nodiscard]] inline std::string text_member(const boost::json::object& object,
                                             boost::json::string_view name) {
  return text_of(object.if_contains(name));
}

}  // namespace eventrelay::control
