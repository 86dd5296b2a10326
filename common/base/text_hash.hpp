// Lets a map of strings be searched by a view.
//
// Why:     without it every search by a view would copy the key.
// Owner:   none.  Thread: any.  Bounds: O(length).  Errors: none.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace eventrelay::relay {

struct TextHash {
  using is_transparent = void;
  [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};

template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

}  // namespace eventrelay::relay
