// One row per provider: all that the services, the command line and the load tools know of it.
//
// Why:     a provider is added here and nowhere else.
// Thread:  constants.  Bounds: one row per element.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/providers/handshake.hpp"
#include "common/providers/rules.hpp"
#include "common/providers/scheme.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kSchemesMax = 3;

// How a body is read into the normal form. Box: by its triggers. Rules: by the places of the row.
enum class NormalForm : std::uint8_t { Rules, Box };

// Which bodies an element sends. Any: whatever its own fields describe, as a CloudEvent does.
enum class Bodies : std::uint8_t { Json, JsonOrForm, JsonOrAny };

// One built-in element.
struct Provider {
  std::string_view key;   // element key, as in event URLs and notifications
  std::string_view name;  // for people
  std::string_view hub;   // hub key of notifications
  std::uint32_t id = 0;   // number in the control API: as at Cloud Elements, else from 1001 on
  bool oauth = false;     // an instance needs a grant of the provider
  // Names of its schemes; the first is the one of a source that names none.
  std::array<std::string_view, kSchemesMax> schemes{};
  NormalForm form = NormalForm::Rules;
  Rules rules{};
  Handshake handshake = Handshake::None;
  Bodies bodies = Bodies::Json;
  // A body as the provider sends it, its type and its own header; @event@, @object@ and @token@
  // stand for what differs.
  std::string_view sample{};
  std::string_view sample_type = "application/json";
  FixedField sample_field{};
};

[[nodiscard]] std::span<const Provider> providers() noexcept;

// Null for an element that is not built in.
[[nodiscard]] const Provider* find_provider(std::string_view key) noexcept;

// The element that signs so; null for a scheme that belongs to none.
[[nodiscard]] const Provider* provider_of_scheme(std::string_view scheme) noexcept;

// The sample with its marks filled: @event@ becomes 16 hex digits, @object@ a decimal number, and
// @token@ the token of a provider that signs nothing.
[[nodiscard]] std::string sample_body(const Provider& provider, std::uint64_t event,
                                      std::uint64_t object, std::string_view token = {});

}  // namespace eventrelay::providers
