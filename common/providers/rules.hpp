// How a provider's body is read into the normal form: places of values, as rows of a table.
//
// Why:     what differs between providers is where six values stand; a row says so, and one reader
//          (normalizer.hpp) serves them all.
// Thread:  constants.  Bounds: static text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/providers/stamp.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kLookupsMax = 6;

// Object: a JSON pointer within one object of the list (within the body where there is no list).
// Body: a pointer within the whole body. Field: a request header. Named: within the body, the
// member named by the value of the header `at`, then `rest`. Always: no place, `literal` itself.
enum class From : std::uint8_t { Nowhere, Object, Body, Field, Named, Always };

// Which part of a value counts. Without the mark, Before is the whole value and After nothing.
enum class Part : std::uint8_t { Whole, BeforeFirst, BeforeLast, AfterFirst, AfterLast };

struct Lookup {
  From from = From::Nowhere;
  std::string_view at{};
  Part part = Part::Whole;
  char mark = 0;
  std::string_view literal{};  // stands for whatever value is there
  std::string_view rest{};     // of Named
};

// Several places: the first where a value is found counts.
using Lookups = std::array<Lookup, kLookupsMax>;

// Words: created, updated, deleted by the table of words. AsIs: the value. Updated: always UPDATED.
enum class TypeRule : std::uint8_t { Words, AsIs, Updated };

// First: the first place found. Joined: every value found at the places of `id`, hashed; none where
// nothing is found. JoinedOfAll: the same over all objects. Body: the hash of the body.
enum class IdRule : std::uint8_t { First, Joined, JoinedOfAll, Body };

// One provider's body.
struct Rules {
  // Pointers to the array of objects, "" being the whole body; the first that is one counts. No
  // data: the body is one object.
  std::array<std::string_view, 2> lists{};
  Lookups object_type{};
  bool type_before_last_dot = false;  // a second cut, after that of the place
  bool lower_case_type = false;
  Lookups object_id{};
  TypeRule type_rule = TypeRule::Words;
  Lookups event_types{};  // the word of what happened
  // Where the object type is this word, the type word is the first of `created` and `deleted` that
  // is true in the body, else UPDATED.
  std::string_view flags_of{};
  Lookups date{};
  Stamp date_unit = Stamp::Rfc3339;
  IdRule id_rule = IdRule::First;
  Lookups id{};
  // Of a joined id: one of these must be there, in each object of JoinedOfAll. Without it there is
  // no id, for what is left may be the same in two events, and one of them would be folded.
  Lookups own_id{};
  Lookups route{};
  // The parameter of a form that holds the JSON body; empty: a form is read as an object of texts.
  std::string_view form_field{};
};

}  // namespace eventrelay::providers
