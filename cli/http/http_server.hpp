// A small HTTP/1.1 server for the command line: takes whole requests, one handler answers them.
//
// Why:     a receiver of callbacks and a stand-in of a provider differ in their answers only.
// Owner:   the command that serves; connections keep what they need alive until they end.
// Thread:  the loop it was made on.
// Bounds:  HttpServerLimits.
// Errors:  std::runtime_error if it can not listen.
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "common/http/types.hpp"

namespace eventrelay::cli {

using ServerRequest = boost::beast::http::request<boost::beast::http::string_body>;
using ServerResponse = boost::beast::http::response<boost::beast::http::string_body>;

struct HttpServerLimits {
  std::size_t connections_max = 256;  // a further client is closed at once
  std::size_t body_max = 1U << 20;    // bytes; a larger request ends its connection
};

// An answer without its length and Connection, which the server adds.
struct ServerAnswer {
  ServerResponse response;
  std::function<void()> written = nullptr;  // runs once the answer was sent, or could not be
};

// Thread: its loop.  Bounds: HttpServerLimits.
class HttpServer {
 public:
  // Nothing: the connection ends without an answer. The request lives until the task has ended.
  using Handler = std::function<Task<std::optional<ServerAnswer>>(const ServerRequest&)>;

  HttpServer(Executor executor, const Tcp::endpoint& endpoint, HttpServerLimits limits,
             Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  [[nodiscard]] Tcp::endpoint endpoint() const;
  // Stops listening and closes every connection.
  void close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::cli
