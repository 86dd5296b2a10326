// A call of the control API: who makes it, what it names, and what it is answered.
//
// Thread:  control.
// Bounds:  a call lives until it is answered; a page has 1..1000 rows.
// Errors:  400 for what can not be read, 404 for an instance that is not the caller's.
#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/message.hpp"
#include "common/http/types.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/documents.hpp"
#include "ingest/control/problem.hpp"

namespace eventrelay::control {

inline constexpr std::string_view kApiBase = "/elements/api-v2";
// Several requests to a provider and several writes may be in one call.
inline constexpr std::chrono::seconds kCallLimit{120};

// Whose call a path takes: the platform's, an instance's own, or either.
enum class Kind : std::uint8_t { Platform, Element, Either, PlatformAdmin };

// One call, with who makes it. Bounds: the request lives until it is answered.
struct Call {
  const HttpRequest* request = nullptr;
  Caller caller;
  std::optional<std::uint64_t> element_instance;  // of the Element part
  bool by_session = false;                        // from the console, by its cookie

  [[nodiscard]] std::string_view body() const { return request->body; }
  [[nodiscard]] std::string_view parameter(std::string_view name) const {
    return request->parameter(name);
  }
  // Null where it is missing or there twice.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
};

// What a call is answered with.
struct Reply {
  boost::json::value body;
  std::vector<std::pair<std::string, std::string>> headers{};
};

// A path of a class of calls, and the member that answers it.
template <class Calls>
struct CallRow {
  std::string_view method;
  std::string_view pattern;  // below the base that it is mounted under
  Kind kind;
  Task<Result<Reply>> (Calls::*handler)(const Call&);
};

// pageSize, or what it is without one.
[[nodiscard]] Result<std::size_t> page_size_of(const Call& call);
// A time of the query, or what it is without it.
[[nodiscard]] Result<WallTime> moment_of(const Call& call, const char* name, WallTime otherwise);
// The instance the call names by its id or its token; 404 for one of another account.
[[nodiscard]] Result<std::uint64_t> instance_of_call(const Documents& documents, const Call& call);
// The instance named, or all of the account; sorted.
[[nodiscard]] Result<std::vector<std::uint64_t>> asked_instances(const Documents& documents,
                                                                 const Call& call);

}  // namespace eventrelay::control
