// Between the members of config.hpp and the values of a configuration, type by type.
//
// Thread:  any.  Bounds: as the member.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/config/config.hpp"
#include "common/config/config_schema.hpp"

namespace eventrelay::config {

// The words of an enum in the order of its enumerators; specialised beside the table.
// Thread: constant.  Bounds: as the enum.
template <class Enum>
struct Words;
template <>
struct Words<RetryProfile> {
  static constexpr std::array<std::string_view, 3> kWords{"", "ce", "ce-legacy"};
};

// One visitor of several functions, for std::visit. Thread: any.  Bounds: as the functions.
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <class T>
struct MemberOf;
// The two halves of a member pointer's type.
template <class Owner, class T>
struct MemberOf<T Owner::*> {
  using owner = Owner;
  using type = T;
};

// Between a member and a Value.
template <class T>
struct Convert {
  static Value out(const T& member) {
    if constexpr (std::is_same_v<T, bool>) {
      return member;
    } else if constexpr (std::is_enum_v<T>) {
      return std::string(Words<T>::kWords[static_cast<std::size_t>(member)]);
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<std::int64_t>(member);
    } else {
      return member;
    }
  }
  static void in(T& member, Value&& value) {
    if constexpr (std::is_same_v<T, bool>) {
      member = std::get<bool>(value);
    } else if constexpr (std::is_enum_v<T>) {
      const std::string& word = std::get<std::string>(value);
      std::size_t i = 0;
      while (Words<T>::kWords[i] != word) ++i;  // the parser has checked the word
      member = static_cast<T>(i);
    } else if constexpr (std::is_integral_v<T>) {
      member = static_cast<T>(std::get<std::int64_t>(value));
    } else {
      member = std::get<T>(std::move(value));
    }
  }
};

template <class T>
concept WholeNumber = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// Lists of numbers of any width.
template <WholeNumber T>
struct Convert<std::vector<T>> {
  static Value out(const std::vector<T>& member) {
    return std::vector<std::int64_t>(member.begin(), member.end());
  }
  static void in(std::vector<T>& member, Value&& value) {
    member.clear();
    for (const std::int64_t n : std::get<std::vector<std::int64_t>>(value)) {
      member.push_back(static_cast<T>(n));
    }
  }
};

}  // namespace eventrelay::config
