// What the API tells of elements: number, name, how an instance is authorized, which events it has.
//
// Why:     Cloud Elements' callers name an element by key or by number.
// Thread:  constants.  Bounds: one row per built-in element.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string_view>

namespace eventrelay::control {

// Thread: constant.
struct CatalogRow {
  std::uint64_t id = 0;
  std::string_view key;
  std::string_view name;
  std::string_view hub;
  bool oauth = false;  // an instance needs a grant of the provider
};

[[nodiscard]] std::span<const CatalogRow> catalog() noexcept;
// By key (letters keep their case) or by number in decimal; null if there is none.
[[nodiscard]] const CatalogRow* find_catalog_row(std::string_view key_or_id) noexcept;
// `{id,key,name,hub,authentication,events}`.
[[nodiscard]] boost::json::object element_answer(const CatalogRow& row);
// With the object types and event types of each method.
[[nodiscard]] boost::json::object metadata_answer(const CatalogRow& row);

}  // namespace eventrelay::control
