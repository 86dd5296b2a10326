// A small HTTP/1.1 client for the command line: one keep-alive connection, http or https.
//
// Why:     the relay's client is built for one job; a tool needs any method and the whole answer.
// Thread:  the loop it was made on.
// Bounds:  answer 1 MiB; every step has a time limit.
// Errors:  HttpFailure with one line: which address, which step, what happened.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/types.hpp"

namespace eventrelay::cli {

// The exchange did not happen. Thread: any.  Bounds: one line.
class HttpFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An http or https URL, taken apart.
struct Target {
  bool tls = false;
  std::string host;
  std::string port;
  std::string path;  // with query, starts with '/'
};

// Host and port as a URL and the Host header have them: an IPv6 address in brackets, and the port
// unless it is that of the scheme.
[[nodiscard]] std::string authority_of(const Target& target);

// Throws HttpFailure for anything but http:// and https://.
[[nodiscard]] Target parse_target(std::string_view url);

struct ClientRequest {
  std::string method = "GET";
  std::string path;  // empty = the target's
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct ClientResponse {
  int status = 0;
  std::string body;
  std::string retry_after;
};

// One connection, opened when needed and opened again when the peer closed it.
// Thread: its loop.  Bounds: one socket.
class HttpClient {
 public:
  HttpClient(Executor executor, Target target, std::string ca_file = {});
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  // Throws HttpFailure. `request` must outlive the call.
  [[nodiscard]] Task<ClientResponse> exchange(const ClientRequest& request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One exchange on a loop of its own; for commands that ask one question.
[[nodiscard]] ClientResponse fetch(const Target& target, const ClientRequest& request);

}  // namespace eventrelay::cli
