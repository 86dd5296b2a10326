// The elements that need no description in the configuration: hub and default signature scheme.
//
// Why:     notifications carry the hub's key, and `sources:` may leave the scheme out.
// Thread:  constants.  Bounds: one row per element.
#pragma once

#include <array>
#include <string_view>

namespace eventrelay {

// One built-in element. Thread: constant.  Bounds: literals.
struct Element {
  std::string_view key;
  std::string_view hub;
  std::string_view scheme;
};

inline constexpr std::array<Element, 12> kElements{{
    {"box", "documents", "box-v2"},
    {"dropbox", "documents", "dropbox"},
    {"elements", "general", "elements"},
    {"github", "collaboration", "github"},
    {"hubspot", "marketing", "hubspot-v3"},
    {"meta", "social", "meta"},
    {"shopify", "ecommerce", "shopify"},
    {"slack", "messaging", "slack"},
    {"standard", "general", "standard"},
    {"stripe", "payment", "stripe"},
    {"svix", "general", "svix"},
    {"zendesk", "helpdesk", "zendesk"},
}};

// Schemes are named by the rows above; each has one.
[[nodiscard]] constexpr bool is_scheme(std::string_view name) noexcept {
  for (const Element& element : kElements) {
    if (element.scheme == name) return true;
  }
  return false;
}

// Null for an element that is not built in.
[[nodiscard]] constexpr const Element* find_element(std::string_view key) noexcept {
  for (const Element& element : kElements) {
    if (element.key == key) return &element;
  }
  return nullptr;
}

}  // namespace eventrelay
