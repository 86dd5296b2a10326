// What the API tells of elements: number, name, how an instance is authorized, which events it has.
//
// Why:     Cloud Elements' callers name an element by key or by number.
// Thread:  constants.  Bounds: one row per built-in element.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "common/providers/provider.hpp"

namespace eventrelay::control {

// An element as the API tells of it.
using CatalogRow = providers::Provider;

// By key (letters keep their case) or by number in decimal; null if there is none.
[[nodiscard]] const CatalogRow* find_catalog_row(std::string_view key_or_id) noexcept;
// `{id,key,name,hub,authentication,events}`.
[[nodiscard]] boost::json::object element_answer(const CatalogRow& row);
// With the object types and event types of each method.
[[nodiscard]] boost::json::object metadata_answer(const CatalogRow& row);

}  // namespace eventrelay::control
