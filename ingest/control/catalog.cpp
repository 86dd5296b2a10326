#include "ingest/control/catalog.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <charconv>

namespace eventrelay::control {
namespace {

namespace json = boost::json;

// 22 is Box's number at Cloud Elements; the others are ours, from 1001 on.
constexpr std::array<CatalogRow, 15> kRows{{
    {22, "box", "Box", "documents", true},
    {1001, "dropbox", "Dropbox", "documents", false},
    {1002, "elements", "Elements", "general", false},
    {1003, "github", "GitHub", "collaboration", false},
    {1004, "hubspot", "HubSpot", "marketing", false},
    {1005, "meta", "Meta", "social", false},
    {1006, "shopify", "Shopify", "ecommerce", false},
    {1007, "slack", "Slack", "messaging", false},
    {1008, "standard", "Standard Webhooks", "general", false},
    {1009, "stripe", "Stripe", "payment", false},
    {1010, "svix", "Svix", "general", false},
    {1011, "zendesk", "Zendesk", "helpdesk", false},
    {1012, "cloudevents", "CloudEvents", "general", false},
    {1013, "microsoftgraph", "Microsoft Graph", "collaboration", false},
    {1014, "twilio", "Twilio", "messaging", false},
}};

json::string_view text(std::string_view view) {
  return {view.data(), view.size()};
}

}  // namespace

std::span<const CatalogRow> catalog() noexcept {
  return kRows;
}

const CatalogRow* find_catalog_row(std::string_view key_or_id) noexcept {
  std::uint64_t id = 0;
  const char* const end = key_or_id.data() + key_or_id.size();
  const auto [stop, error] = std::from_chars(key_or_id.data(), end, id);
  const bool number = error == std::errc{} && stop == end && !key_or_id.starts_with('0');
  const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const CatalogRow& row) {
    return number ? row.id == id : row.key == key_or_id;
  });
  return found == kRows.end() ? nullptr : &*found;
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
