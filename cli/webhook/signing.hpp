// What sign, verify, send and listen share: schemes by name, keys from flags, and the check of a
// signature.
//
// Owner:   the command.  Thread: main.  Bounds: 3 keys, 64 header lines.
// Errors:  Failure with exit code 2 naming the flag and what is allowed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/secret.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/providers/scheme.hpp"

namespace eventrelay::cli {

using HeaderLines = std::vector<std::pair<std::string, std::string>>;

// The scheme of that name; Failure lists all names otherwise.
[[nodiscard]] const providers::Scheme& scheme_named(std::string_view name);
// Names of all schemes, for --help.
[[nodiscard]] std::string scheme_names();
// Keys as given: text, or @FILE for the first line of a file.
[[nodiscard]] std::vector<Secret> keys_from(const std::vector<std::string>& flags);

// A request whose signature is to be checked.
struct Signed {
  std::string method = "POST";
  std::string target = "/";
  HeaderLines headers;
  std::string body;
};

// The URI that a provider signs which is told `url`: what a service without `ingest.public_url`
// takes it for, https:// whatever the port.
[[nodiscard]] std::string uri_signed_for(const std::string& url);
// Failure with exit code 2 that names the flag where the scheme signs a URI or an id and none is
// given, or the URI has no scheme and host.
void require_uri(const providers::Scheme& scheme, const std::string& uri);
void require_id(const providers::Scheme& scheme, const std::string& id);

// Empty if genuine, else the reason in words.
[[nodiscard]] std::string judge(const providers::Scheme& scheme, const std::vector<Secret>& keys,
                                const Signed& message, WallTime now);

// All of stdin.
[[nodiscard]] std::string read_stdin();
// All of a file; Failure if it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace eventrelay::cli
