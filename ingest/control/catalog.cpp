#include "ingest/control/catalog.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>

#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
const CatalogRow* find_catalog_row(std::string_view key_or_id) noexcept {
  std::uint64_t id = 0;
  const char* const end = key_or_id.data() + key_or_id.size();
  const auto [stop, error] = std::from_chars(key_or_id.data(), end, id);
  const bool number = error == std::errc{} && stop == end && !key_or_id.starts_with('0');
  if (!number) return providers::find_provider(key_or_id);
  const auto all = providers::providers();
  const auto found =
      std::find_if(all.begin(), all.end(), [id](const CatalogRow& row) { return row.id == id; });
  return found == all.end() ? nullptr : &*found;
}

json::object element_answer(const CatalogRow& row) {
  return {{"id", row.id},
          {"key", text(row.key)},
          {"name", text(row.name)},
          {"hub", text(row.hub)},
          {"authentication", {{"type", row.oauth ? "oauth2" : "custom"}}},
          {"events", {{"supported", true}, {"methods", json::array{"webhook"}}}}};
}

json::object metadata_answer(const CatalogRow& row) {
  json::object types;
  if (row.key == "box") {
    const json::array words{"CREATED", "UPDATED", "DELETED", "UNKNOWN"};
    types["file"] = json::object{{"eventTypes", words}};
    types["folder"] = json::object{{"eventTypes", words}};
  }
  json::object events{{"supported", true},
                      {"methods", json::array{"webhook"}},
                      {"webhook", types},
                      {"polling", json::object{}}};
  return {{"id", row.id}, {"key", text(row.key)}, {"events", events}};
}

}  // namespace eventrelay::control
