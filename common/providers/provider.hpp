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

#include "common/providers/scheme.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kSchemesMax = 3;

// How a body is read into the normal form. Box: its own triggers. Generic: a stable id at most.
enum class NormalForm : std::uint8_t { Generic, Box };

// One built-in element. Thread: constant.  Bounds: static text.
struct Provider {
  std::string_view key;  // element key, as in event URLs and notifications
  std::string_view hub;  // hub key of notifications
  std::uint32_t id = 0;  // number of the element where it is fixed; 0: none
  // Names of its schemes; the first is the one of a source that names none.
  std::array<std::string_view, kSchemesMax> schemes{};
  NormalForm form = NormalForm::Generic;
  // A body as the provider sends it; @event@ and @object@ stand for what differs per event.
  std::string_view sample{};
};

[[nodiscard]] std::span<const Provider> providers() noexcept;

// Null for an element that is not built in.
[[nodiscard]] const Provider* find_provider(std::string_view key) noexcept;

// The element that signs so; null for a scheme that belongs to none.
[[nodiscard]] const Provider* provider_of_scheme(std::string_view scheme) noexcept;

// The sample with its marks filled: @event@ becomes 16 hex digits, @object@ a decimal number.
[[nodiscard]] std::string sample_body(const Provider& provider, std::uint64_t event,
                                      std::uint64_t object);

}  // namespace eventrelay::providers
