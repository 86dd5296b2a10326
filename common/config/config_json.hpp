// Structs of the configuration to JSON and back, through the one table of keys.
//
// Why:     a document of the registry holds the same instance as a file; a second list of keys
//          would drift from the first.
// Thread:  any.  Bounds: kJsonDepthMax levels.
// Errors:  reading tells what is wrong in the words of the configuration, without any secret.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config_schema.hpp"
#include "common/config/config_yaml.hpp"

namespace eventrelay::config {

inline constexpr std::size_t kJsonDepthMax = 32;

// How a secret is written, e.g. sealed. Gets the plain text.
using WriteSecret = std::function<boost::json::value(std::string_view)>;
// The plain text of a secret as it was written; nothing: `value` is no secret. Throws
// std::invalid_argument when it is one and can not be read.
using ReadSecret = std::function<std::optional<std::string>(const boost::json::value&)>;

// The members of `owner` that differ from `defaults`, a struct of the same type.
[[nodiscard]] boost::json::object to_json(const Schema& schema, const void* owner,
                                          const void* defaults, const WriteSecret& secret);

// A JSON value as a tree for the Parser; texts count as quoted. Throws std::invalid_argument.
[[nodiscard]] YamlNode to_tree(const boost::json::value& value, const ReadSecret& secret);

// Reads `value` into `owner`. Empty: read; else what is wrong, one line each.
[[nodiscard]] std::string from_json(const boost::json::value& value, const Schema& schema,
                                    void* owner, const ReadSecret& secret);

}  // namespace eventrelay::config
