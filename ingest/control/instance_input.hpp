// The body of a call that makes or changes an instance, judged field by field and put into a
// document.
//
// Why:     a caller must never widen what the operator allows, and one that is told the wrong field
//          looks in the wrong place: each message begins with the name of its field.
// Thread:  any; pure.
// Bounds:  stated in the table of configuration keys; 200 keys, 100 tags, 100 subscriptions.
// Errors:  Problem 400; values of secrets are never part of it.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.hpp"
#include "common/registry/document.hpp"
#include "ingest/control/catalog.hpp"
#include "ingest/control/problem.hpp"

namespace eventrelay::control {

inline constexpr std::string_view kMasked = "********";
inline constexpr std::size_t kConfigurationKeysMax = 200;
inline constexpr std::size_t kConfigurationTextMax = 4096;

enum class Change : std::uint8_t { Create, Replace, Merge };  // POST, PUT, PATCH

// What is in the body beside the document.
struct Authorize {
  std::string code;           // of providerData; empty: none
  std::string refresh_token;  // of an externally authorized instance; empty: none
};

// Puts the members of `body` into `document`, which for Create holds nothing but its element.
// `element` is the row of its element; `config` has the operator's defaults and limits.
// `defaults` lies under what is sent as delivery: the operator's, with the account's policy.
[[nodiscard]] Result<Authorize> apply_input(const boost::json::object& body, Change change,
                                            const CatalogRow& element, const Config& config,
                                            const DeliveryConfig& defaults, Document& document);

// Sets one key of the configuration as PATCH of its item does.
[[nodiscard]] Result<bool> apply_configuration_item(std::string_view key,
                                                    const boost::json::value& value,
                                                    const CatalogRow& element, const Config& config,
                                                    Document& document);

// The element that `body` names by `element.key` or `element.id`.
[[nodiscard]] Result<const CatalogRow*> element_of(const boost::json::object& body);

// Is the value of this key shown as kMasked?
[[nodiscard]] bool is_secret_key(std::string_view key);

}  // namespace eventrelay::control
