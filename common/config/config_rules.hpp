// Rules of single texts in a configuration: names, addresses, headers.
//
// Why:     the same question is asked of a file, of the control API and of an outgoing request.
// Thread:  any.  Bounds: O(length).  Errors: the problem as text, empty when there is none; the
//          value is never part of it.
#pragma once

#include <string>
#include <string_view>

namespace eventrelay::config {

// [a-zA-Z0-9._-]*, what Kafka allows in a topic.
[[nodiscard]] std::string topic_problem(std::string_view text);
// host:port or [v6]:port.
[[nodiscard]] std::string listen_problem(std::string_view text);
// Begins with '/', does not end with it; letters, digits and - . _ ~ /.
[[nodiscard]] std::string path_problem(std::string_view text);
// [a-z0-9-]+.
[[nodiscard]] std::string name_problem(std::string_view text);
// No control characters.
[[nodiscard]] std::string plain_problem(std::string_view text);
// An HTTP token that is neither set by the relay itself nor bound to one connection.
[[nodiscard]] std::string header_name_problem(std::string_view name);
// Visible ASCII, spaces and tabs; no control characters, nothing around it.
[[nodiscard]] std::string header_value_problem(std::string_view value);

// The path of a file, not what such a file holds.
[[nodiscard]] std::string file_problem(std::string_view text);

// A key, a token or a password that stands in the wrong place: long, one word, and of letters and
// digits, or with a prefix that keys have, or a URL with a user name. Such a value is not quoted in
// a message.
[[nodiscard]] bool may_be_secret(std::string_view text);
// A URL with *** in place of what looks like a token: such parts of its path, and parameters whose
// name says so.
[[nodiscard]] std::string masked_url(std::string_view url);

}  // namespace eventrelay::config
