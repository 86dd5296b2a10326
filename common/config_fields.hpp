// Turns a member pointer into the accessors of a schema row, so that a row is one expression.
//
// Why:     the table must not repeat a member's type, and a wrong pairing must not compile.
// Thread:  any.  Bounds: as the member.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/config_schema.hpp"

namespace eventrelay::config {

// The words of an enum in the order of its enumerators; specialised beside the table.
// Thread: constant.  Bounds: as the enum.
template <class Enum>
struct Words;

// Between a member and a Value. Thread: any.  Bounds: as the member.
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

// Lists of numbers of any width. Thread: any.  Bounds: as the member.
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

template <class T>
struct MemberOf;
// The two halves of a member pointer's type. Thread: constant.  Bounds: none.
template <class Owner, class T>
struct MemberOf<T Owner::*> {
  using owner = Owner;
  using type = T;
};

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

// A value of the struct.
template <auto Member>
Row field(Row row) {
  using Owner = typename MemberOf<decltype(Member)>::owner;
  using T = typename MemberOf<decltype(Member)>::type;
  row.get = [](const void* owner) -> std::optional<Value> {
    const T& member = static_cast<const Owner*>(owner)->*Member;
    if constexpr (kIsOptional<T>) {
      if (!member) return std::nullopt;
      return Convert<typename T::value_type>::out(*member);
    } else {
      return Convert<T>::out(member);
    }
  };
  row.set = [](void* owner, Value&& value) {
    T& member = static_cast<Owner*>(owner)->*Member;
    if constexpr (kIsOptional<T>) {
      member.emplace();
      Convert<typename T::value_type>::in(*member, std::move(value));
    } else {
      Convert<T>::in(member, std::move(value));
    }
  };
  return row;
}

// A section whose keys live in a member struct, made when first named if it is optional.
template <auto Member>
Row object(Row row, const Schema& (*schema)()) {
  using Owner = typename MemberOf<decltype(Member)>::owner;
  using T = typename MemberOf<decltype(Member)>::type;
  row.kind = Kind::Object;
  row.schema = schema;
  row.enter = [](void* owner, std::string_view) -> void* {
    T& member = static_cast<Owner*>(owner)->*Member;
    if constexpr (kIsOptional<T>) {
      if (!member) member.emplace();
      return &*member;
    } else {
      return &member;
    }
  };
  row.fresh = []() -> std::shared_ptr<void> {
    if constexpr (kIsOptional<T>) {
      return std::make_shared<typename T::value_type>();
    } else {
      return std::make_shared<T>();
    }
  };
  row.visit = [](const void* owner, const Visitor& visitor) {
    const T& member = static_cast<const Owner*>(owner)->*Member;
    if constexpr (kIsOptional<T>) {
      if (member) visitor({}, &*member);
    } else {
      visitor({}, &member);
    }
  };
  return row;
}

// A section whose keys live in the same struct.
Row inlined(Row row, const Schema& (*schema)());

// A list of structs.
template <auto Member>
Row list(Row row, const Schema& (*schema)()) {
  using Owner = typename MemberOf<decltype(Member)>::owner;
  using T = typename MemberOf<decltype(Member)>::type;
  row.fresh = []() -> std::shared_ptr<void> { return std::make_shared<typename T::value_type>(); };
  row.kind = Kind::List;
  row.schema = schema;
  row.enter = [](void* owner, std::string_view) -> void* {
    return &(static_cast<Owner*>(owner)->*Member).emplace_back();
  };
  row.visit = [](const void* owner, const Visitor& visitor) {
    for (const auto& item : static_cast<const Owner*>(owner)->*Member) visitor({}, &item);
  };
  row.clear = [](void* owner) { (static_cast<Owner*>(owner)->*Member).clear(); };
  return row;
}

// Structs by name.
template <auto Member>
Row map(Row row, const Schema& (*schema)()) {
  using Owner = typename MemberOf<decltype(Member)>::owner;
  using T = typename MemberOf<decltype(Member)>::type;
  row.fresh = []() -> std::shared_ptr<void> { return std::make_shared<typename T::mapped_type>(); };
  row.kind = Kind::Map;
  row.schema = schema;
  row.enter = [](void* owner, std::string_view name) -> void* {
    return &(static_cast<Owner*>(owner)->*Member)[std::string(name)];
  };
  row.visit = [](const void* owner, const Visitor& visitor) {
    for (const auto& [name, item] : static_cast<const Owner*>(owner)->*Member) {
      visitor(name, &item);
    }
  };
  row.clear = [](void* owner) { (static_cast<Owner*>(owner)->*Member).clear(); };
  return row;
}

}  // namespace eventrelay::config
