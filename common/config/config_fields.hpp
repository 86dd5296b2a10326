// Turns a member pointer into the accessors of a schema row, so that a row is one expression.
//
// Why:     the table must not repeat a member's type, and a wrong pairing must not compile.
// Thread:  any.  Bounds: as the member.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config/config_schema.hpp"
#include "common/config/config_values.hpp"

namespace eventrelay::config {

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

// A schedule of waits beside the profile it may come from; where it is empty there is none.
template <auto Waits, auto Profile>
Row delays(Row row) {
  using Owner = typename MemberOf<decltype(Waits)>::owner;
  using Enum = typename MemberOf<decltype(Profile)>::type;
  row.kind = Kind::Delays;
  row.get = [](const void* owner) -> std::optional<Value> {
    const Owner& it = *static_cast<const Owner*>(owner);
    if ((it.*Waits).empty()) return std::nullopt;
    if (it.*Profile == Enum{}) return it.*Waits;
    return Convert<Enum>::out(it.*Profile);
  };
  row.set = [](void* owner, Value&& value) {
    Owner& it = *static_cast<Owner*>(owner);
    it.*Profile = Enum{};
    if (const std::string* const word = std::get_if<std::string>(&value)) {
      it.*Waits = retry_profile(*word);
      Convert<Enum>::in(it.*Profile, std::move(value));
    } else {
      it.*Waits = std::get<std::vector<std::chrono::milliseconds>>(std::move(value));
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
