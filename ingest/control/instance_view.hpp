// An instance as the API answers it: the members of Cloud Elements, every secret masked.
//
// Thread:  any; pure.  Bounds: as the document.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.hpp"
#include "common/registry/document.hpp"

namespace eventrelay::control {

// `token` is shown if it is given, as only POST does; else masked.
[[nodiscard]] boost::json::object instance_answer(const Document& document, const Config& config,
                                                  const UserConfig* user,
                                                  std::optional<std::string_view> token);
// The items of the configuration, `{id,key,propertyValue}`; `id` counts from 1 in the order of
// keys.
[[nodiscard]] boost::json::array configuration_answer(const Document& document);
// One webhook of the instance as `webhooks[]` shows it.
[[nodiscard]] boost::json::object webhook_answer(const Webhook& hook);
// What is to be pasted at the provider by hand.
[[nodiscard]] boost::json::object setup_answer(const Document& document, const Config& config);

// Where the provider calls this instance.
[[nodiscard]] std::string event_url(const Config& config, std::string_view element,
                                    std::uint64_t id);
// 2026-01-31T12:00:00Z
[[nodiscard]] std::string utc_text(WallTime time);

}  // namespace eventrelay::control
